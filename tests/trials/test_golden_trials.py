"""Calibration, mutation and invariance as commands: tables, documents and exit codes."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests.golden.test_lifecycle import faulty
from tests.golden_cases import FreshDraws, Loaded
from turbo_lab.cli.main import main
from turbo_lab.documents.golden import GoldenMutation, HarmlessOutcome, Margin
from turbo_lab.errors import JudgementError
from turbo_lab.golden.embedding import image_embedding
from turbo_lab.golden.fresh_process import DrawFresh, Stages
from turbo_lab.golden.library import GoldenLibrary, StoredTensors
from turbo_lab.golden.run_case import CaseRunner, RecordedCase
from turbo_lab.golden.thresholds import read_thresholds, thresholds_document, thresholds_of
from turbo_lab.report.text.golden import print_calibration, print_mutation
from turbo_lab.trials.faults import FAULTS, Fault
from turbo_lab.trials.golden_calibration import (
    Calibration,
    Thresholds,
    calibrate,
    load_cases,
    observe,
)
from turbo_lab.trials.golden_mutation import Mutation, mutate, run_with
from turbo_lab.trials.harmless import HARMLESS, Harmless


@pytest.fixture
def one(library: GoldenLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GoldenLibrary:
    """A library of its own with the case of two steps only; its parent is the working directory."""
    made = GoldenLibrary(tmp_path / "goldens", library.content)
    shutil.copytree(library.root / "two-steps", made.root / "two-steps")
    made.write_cases({"two-steps": library.cases()["two-steps"]})
    monkeypatch.chdir(tmp_path)
    return made


def test_calibration_is_written_read_again_and_ratchets(
    one: GoldenLibrary, capsys: pytest.CaptureFixture[str]
) -> None:
    quick = [change for change in HARMLESS if change.name in ("run again", "SDPA by plain math")]

    def calibrated(stored: Thresholds | None) -> Calibration:
        return calibrate(load_cases(one), image_embedding(), stored, changes=quick)

    found = calibrated(None)
    assert found.exact["run again"] == found.cases == 1
    assert 0 < found.thresholds["T1"]["latents_max_abs"].observed < 1e-3
    one.write_thresholds(found.thresholds, thresholds_document(found.thresholds, {}))
    own = read_thresholds(one.root / "thresholds.json")
    assert own == found.thresholds
    assert one.read("two-steps").thresholds == own != read_thresholds()
    again = calibrated(thresholds_of(one))
    assert again.loose == ()
    print_calibration(again)
    assert "SDPA by plain math" in capsys.readouterr().out
    loose = {"T1": {**own["T1"], "latents_max_abs": Margin(1.0, 0.1, 9)}, "T2": own["T2"]}
    one.write_sidecar(dataclasses.replace(one.read("two-steps"), thresholds=loose))
    last = calibrated(thresholds_of(one))
    assert [line.partition(" stored")[0] for line in last.loose] == ["T1 latents_max_abs: 1"]


def test_a_metric_that_cannot_be_computed_stops_calibration(
    loaded: Loaded, runner: CaseRunner
) -> None:
    (again,) = [change for change in HARMLESS if change.name == "run again"]
    broken = loaded[0]._replace(
        stored=StoredTensors(
            {**loaded[0].stored.tensors, "pixels": np.zeros((1, 8, 8, 3), np.uint8)}
        )
    )
    with pytest.raises(JudgementError, match="run again: .* could not be computed"):
        observe(broken, again, runner, image_embedding())


def test_a_fault_that_does_nothing_is_missed(
    one: GoldenLibrary, capsys: pytest.CaptureFixture[str]
) -> None:
    caught = next(fault for fault in FAULTS if fault.name == "channels swapped")
    cases, thresholds = load_cases(one), read_thresholds()

    def tried(*faults: Fault) -> Mutation:
        return mutate(cases, thresholds, image_embedding(), faults=faults, changes=())

    found = tried(caught, Fault("nothing"))
    assert (found.score, found.passes) == (0.5, False)
    print_mutation(GoldenMutation(found.score, found.faults, found.harmless))
    text = capsys.readouterr().out
    assert "score 50% of the faults caught at T0" in text
    assert [line.split() for line in text.splitlines() if line.startswith("nothing")] == [
        ["nothing", "missed", "missed", "(0)", "missed", "(0)", "-"]
    ]
    assert tried(caught).passes


def test_a_harmless_change_that_alarms_fails(one: GoldenLibrary) -> None:
    caught = next(fault for fault in FAULTS if fault.name == "channels swapped")
    harmful = Harmless("another fault", "T1", partial(run_with, caught))
    found = mutate(
        load_cases(one), read_thresholds(), image_embedding(), faults=[caught], changes=[harmful]
    )
    assert [change.alarm for change in found.harmless] == [True]
    assert found.score == 1 and not found.passes


def test_a_fault_above_the_noise_must_be_seen_at_every_tier(
    loaded: Loaded, capsys: pytest.CaptureFixture[str]
) -> None:
    """Here with thresholds a thousand times too wide."""
    wide = {
        tier: {name: Margin(1e3 * m.threshold, m.observed, m.n) for name, m in figures.items()}
        for tier, figures in read_thresholds().items()
    }
    case, golden, material = loaded[0]
    cases = [RecordedCase(case, dataclasses.replace(golden, thresholds=wide), material)]
    names = ("vae in bfloat16", "one weight off by 0.001")
    faults = [fault for fault in FAULTS if fault.name in names]
    found = mutate(cases, {}, image_embedding(), faults=faults, changes=()).faults
    assert all(dict(o.by_tier) == {"T0": True, "T1": False, "T2": False} for o in found)
    assert {outcome.name: outcome.above_noise for outcome in found} == {
        "vae in bfloat16": ("T1", "T2"),
        "one weight off by 0.001": (),  # as small as what is harmless
    }
    print_mutation(GoldenMutation(1.0, tuple(found), ()))
    text = " ".join(capsys.readouterr().out.split())
    assert "vae in bfloat16: missed at T1, T2 though above the harmless noise" in text


def test_a_fresh_process_of_other_bits_is_an_alarm(loaded: Loaded, fresh_draws: FreshDraws) -> None:
    (fresh,) = [change for change in HARMLESS if change.name == "a fresh process"]

    def tried(draw_fresh: DrawFresh) -> HarmlessOutcome:
        found = mutate(
            loaded,
            read_thresholds(),
            image_embedding(),
            faults=(),
            changes=[fresh],
            draw_fresh=draw_fresh,
        )
        return found.harmless[0]

    honest = tried(fresh_draws)
    assert (honest.alarm, honest.tier, honest.cases) == (False, "T0", len(loaded))

    def turned(cases: Mapping[str, Sequence[str]]) -> dict[str, Stages]:
        found = fresh_draws(cases)
        name = next(iter(found))
        *others, pixels = found[name]
        other = dataclasses.replace(pixels, values=pixels.values[:, ::-1].copy())
        return found | {name: (*others, other)}

    assert tried(turned).alarm


def test_without_thresholds_nothing_counts_as_caught(loaded: Loaded) -> None:
    bare = [one._replace(golden=dataclasses.replace(one.golden, thresholds={})) for one in loaded]
    with pytest.raises(JudgementError, match=r"no threshold for .* golden calibrate --write"):
        mutate(bare, {}, image_embedding(), faults=FAULTS[:1], changes=())


@pytest.mark.slow
def test_the_invariance_suite_says_what_was_compared_and_what_could_not_be(
    one: GoldenLibrary, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = ("prompts=scenes-demo", "num_images=2", "batch_size=2", "num_threads=1", "seed=9")
    assert main(["golden", "record", "pair", *overrides, "--processes", "0"]) == 0
    capsys.readouterr()
    assert main(["golden", "invariance", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["rows"]}
    asked = {name: row["cases"] for name, row in rows.items()}
    assert asked["prompt order"] == 1 and asked["resumed against uninterrupted sweep"] == 2
    assert rows["adapter order"]["holds"] is None and asked["adapter order"] == 0
    assert all(row["holds"] for row in rows.values() if row["cases"])
    assert {name for name, row in rows.items() if row["tier"] == "T0"} == {
        "run again", "after other work", "a fresh process", "adapters on and off again",
        "shared against unshared work", "resumed against uninterrupted sweep", "saved and loaded",
    }  # fmt: skip


def test_a_fault_is_not_learnt_as_noise(
    one: GoldenLibrary, capsys: pytest.CaptureFixture[str]
) -> None:
    with faulty():
        assert main(["golden", "calibrate", "--write"]) == 4
    assert "two-steps: run again is not identical to the bit" in capsys.readouterr().err
    assert not (one.root / "thresholds.json").exists()
