"""Drawing the sides of a gate, and its checks on images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.compare.test_baseline import made
from tests.small_sweeps import small_sweep
from turbo_lab.compare.sides import features_of
from turbo_lab.gate.inputs import gate_inputs
from turbo_lab.gate.performance_checks import Instruments
from turbo_lab.gate.policy import Policy
from turbo_lab.gate.run_checks import (
    DrawnSides,
    all_checks,
    draw_sides,
    quality_checks,
)
from turbo_lab.images import read_png
from turbo_lab.metrics.extractor import ClipExtractor
from turbo_lab.planning.resolved_sweep import ResolvedSweep

QUALITY = {"quality": {"clip_score": {"margin": 0.02}}}


def policy(**fields: Any) -> Policy:
    return Policy.from_config({"name": "mine", **fields})


@pytest.fixture(scope="module")
def sweep(
    tiny_sdxl_dir: Path, clip_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> ResolvedSweep:
    """Eight images, scored by the tiny extractor."""
    return small_sweep(
        tiny_sdxl_dir,
        "num_images=8",
        "batch_size=8",
        "metrics=default",
        "timing=short",
        f"metrics.extractor={clip_folder}",
        "reference=null",
        f"store={tmp_path_factory.mktemp('sides') / 'store'}",
    )


@pytest.fixture(scope="module")
def sides(sweep: ResolvedSweep) -> DrawnSides:
    """A candidate against itself."""
    return draw_sides(gate_inputs(policy(**QUALITY, licenses=["MIT"]), sweep, sweep))


def with_policy(sides: DrawnSides, **fields: Any) -> DrawnSides:
    return replace(sides, inputs=replace(sides.inputs, policy=policy(**fields)))


def test_both_sides_are_drawn_and_measured(sides: DrawnSides) -> None:
    assert sides.baseline is not None and sides.reference is sides.baseline.measured
    assert sides.candidate.done.from_store == 0 and sides.baseline.done.from_store == 8
    assert [one.name for one in sides.candidate.measured.measurements] == ["clip_score"]


def test_a_side_equal_to_itself_passes_and_an_unknown_licence_does_not(sides: DrawnSides) -> None:
    rows = {row.name: row for row in all_checks(sides)}
    assert (rows["clip_score"].verdict, rows["clip_score"].difference) == ("pass", 0.0)
    first = next(iter(rows.values()))
    assert first.verdict == "regression" and "unknown" in (first.note or "")


def test_without_a_baseline_every_metric_is_uncovered_with_the_remedy(sides: DrawnSides) -> None:
    inputs = replace(sides.inputs, policy=policy(**QUALITY), missing="no baseline; make one")
    (row,) = all_checks(replace(sides, inputs=inputs, baseline=None, reference=None))
    assert (row.name, row.verdict, row.note) == ("clip_score", "uncovered", inputs.missing)


def test_a_minimum_needs_no_baseline(sides: DrawnSides) -> None:
    rules = {"clip_score": {"margin": 0.02, "min": -1}, "r_precision": {"margin": 0.1, "min": 2}}
    alone = replace(with_policy(sides, quality=rules), baseline=None, reference=None)
    found = {row.name: row.verdict for row in all_checks(alone)}
    assert found["clip_score min"] == "pass" and found["clip_score"] == "uncovered"
    assert found["r_precision min"] in ("regression", "uncovered")


def test_a_metric_that_one_side_lacks_is_uncovered() -> None:
    full, bare = made(), replace(made(), measurements=())
    for here, there, side in ((bare, full, "candidate"), (full, bare, "baseline")):
        (row,) = quality_checks(policy(**QUALITY), here, there)
        assert (row.verdict, row.note) == (
            "uncovered",
            f"the {side} has no clip_score with values per image",
        )
    other = replace(made().measurements[0], fingerprint="another extractor")
    (row,) = quality_checks(policy(**QUALITY), full, replace(full, measurements=(other,)))
    assert row.verdict == "uncovered" and not str(row.note).startswith("clip_score: ")


def test_a_distance_needs_a_reference_and_a_drawn_baseline(sides: DrawnSides) -> None:
    (row,) = all_checks(with_policy(sides, frechet=0.1))
    assert (row.name, row.verdict) == ("fd/tiny-clip", "uncovered")
    assert row.note == "needs reference=NAME or reference=FILE"
    (row,) = all_checks(replace(with_policy(sides, frechet=0.1), baseline=None))
    assert row.verdict == "uncovered" and "a stored one keeps no images" in str(row.note)


def test_a_check_that_breaks_is_an_error_and_the_next_one_runs(
    sides: DrawnSides, capsys: pytest.CaptureFixture[str]
) -> None:
    peaks = ([1.0] * 8, [1.0] * 8)

    def broken(*_: object) -> Iterator[None]:
        raise RuntimeError("device-side assert")

    instruments = Instruments(time_sides=broken, compare_footprints=lambda *_: peaks)
    rows = list(all_checks(with_policy(sides, latency=0.2, memory=0.2), instruments))
    assert [(row.name, str(row.verdict)) for row in rows] == [
        ("latency", "error"),
        ("memory", "pass"),
    ]
    assert rows[0].note == "RuntimeError: device-side assert"
    assert "Traceback" in capsys.readouterr().err


def test_features_are_those_of_the_stored_images(
    sides: DrawnSides, extractor: ClipExtractor
) -> None:
    keys, features, judge = features_of(sides.candidate)
    assert [seed for _, seed in keys] == list(range(8)) and judge[0] == "tiny-clip"
    assert judge == (extractor.name, extractor.digest)
    done = sides.candidate.done
    folder = done.store.batch_folder(done.record.batches[0])
    pixels = np.stack([read_png(path)[0] for path in sorted(folder.glob("*.png"))])
    np.testing.assert_allclose(features, extractor.image_features(pixels), atol=1e-6)
