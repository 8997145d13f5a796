"""Inputs of a gate, checked before any image is drawn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.compare.test_baseline import made
from tests.small_sweeps import small_sweep
from tests.tiny_shape import save_tiny_shape
from turbo_lab.compare.baseline import write_baseline
from turbo_lab.errors import InputError
from turbo_lab.gate.inputs import SideImages, check_cases, gate_inputs
from turbo_lab.gate.policy import Policy
from turbo_lab.planning.resolved_sweep import ResolvedSweep, vary


def policy(**fields: Any) -> Policy:
    return Policy.from_config({"name": "mine", **fields})


QUALITY = {"quality": {"clip_score": {"margin": 0.02}}}


@pytest.fixture(scope="module")
def sweep(tiny_sdxl_dir: Path) -> ResolvedSweep:
    return small_sweep(tiny_sdxl_dir, "timing=short")


def request_with(sweep: ResolvedSweep, **changes: Any) -> ResolvedSweep:
    return vary(sweep, lambda request: replace(request, **changes))


def test_equal_sides_have_no_warnings(sweep: ResolvedSweep) -> None:
    found = gate_inputs(policy(**QUALITY, latency=0.1), sweep, sweep)
    assert found.warnings == () and found.stored is None and found.images_per_call == 2


def test_images_that_do_not_pair_are_warned_of(sweep: ResolvedSweep) -> None:
    (warning,) = gate_inputs(policy(**QUALITY), sweep, request_with(sweep, num_images=4)).warnings
    assert "the candidate draws 2 images, the baseline 4, and 2 have equal prompts" in warning
    (warning,) = gate_inputs(policy(**QUALITY), sweep, request_with(sweep, seed=50)).warnings
    assert "and 0 have equal prompts and seeds" in warning
    assert gate_inputs(policy(latency=0.1), sweep, request_with(sweep, seed=50)).warnings == ()


def test_images_of_other_sizes_are_warned_of(sweep: ResolvedSweep) -> None:
    (warning,) = gate_inputs(policy(), sweep, request_with(sweep, width=128)).warnings
    assert warning.startswith("the candidate's images are 64x64, the baseline's 128x64: metrics")


def test_sides_from_other_source_images_are_refused_if_images_are_compared(
    sweep: ResolvedSweep,
) -> None:
    pictured = request_with(sweep, image="shapes", strength=1.0)
    for fields in (QUALITY, {"frechet": 0.1}):
        with pytest.raises(InputError, match="gate: the candidate begins from image=shapes"):
            gate_inputs(policy(**fields), pictured, sweep)
    assert gate_inputs(policy(latency=0.1), pictured, sweep).warnings == ()


@pytest.mark.parametrize("field", ["latency", "memory", "energy"])
def test_performance_needs_calls_of_one_size(field: str, sweep: ResolvedSweep) -> None:
    one = request_with(sweep, num_images=1)
    with pytest.raises(InputError, match="a call draws 1 images for the baseline and 2 for the"):
        gate_inputs(policy(**{field: 0.1}), sweep, one)


def test_latency_and_energy_are_measured_in_one_run(sweep: ResolvedSweep) -> None:
    full = replace(sweep, options=replace(sweep.options, timing="full"))
    for field in ("latency", "energy"):
        with pytest.raises(InputError, match="gate: timing is full for the baseline and short"):
            gate_inputs(policy(**{field: 0.1}), sweep, full)
    assert gate_inputs(policy(memory=0.1), sweep, full).warnings == ()


def test_quality_of_random_weights_is_refused(
    tiny_sdxl_dir: Path, tmp_path: Path, sweep: ResolvedSweep
) -> None:
    shape = small_sweep(save_tiny_shape(tiny_sdxl_dir, tmp_path / "shape"), "timing=short")
    for fields in (QUALITY, {"frechet": 0.1}):
        for sides in ((shape, sweep), (sweep, shape), (shape, None)):
            with pytest.raises(InputError, match="gate: model=.* has random weights, .*to null"):
                gate_inputs(policy(**fields), *sides)
    assert gate_inputs(policy(latency=0.1), shape, shape).warnings == ()


def test_a_stored_baseline_serves_or_its_command_is_named(
    sweep: ResolvedSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = gate_inputs(policy(**QUALITY), sweep, None)
    assert (found.baseline, found.stored) == (None, None)
    assert "mine" in found.missing and "turbo-lab baseline" in found.missing
    write_baseline(made("mine"), tmp_path / "baselines")
    found = gate_inputs(policy(**QUALITY), sweep, None)
    assert found.stored is not None and found.stored.name == "mine" and found.missing == ""
    assert "and 0 have equal prompts and seeds" in found.warnings[-1]
    pictured = request_with(sweep, image="shapes", strength=1.0)
    with pytest.raises(InputError, match="at strength=1, baseline mine from noise"):
        gate_inputs(policy(**QUALITY), pictured, None)


def test_images_of_a_side_are_known_before_they_are_drawn(sweep: ResolvedSweep) -> None:
    found = SideImages.of(request_with(sweep, num_images=5))
    assert (found.count, found.size, len(found.keys)) == (5, "64x64", 5)
    assert sorted(seed for _, seed in found.keys) == [0, 1, 2, 3, 4]
    stored = SideImages.stored(made())
    assert stored == SideImages(frozenset({("a", 1), ("b", 2)}), 2, "64x64")


def test_named_golden_cases_must_exist() -> None:
    check_cases(policy())
    with pytest.raises(InputError, match="no-such-case"):
        check_cases(policy(goldens=["no-such-case"]))
