"""Calibration: thresholds from harmless changes, and what stops it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.golden.test_thresholds import PROVENANCE
from tests.golden_cases import FAULTY, Loaded
from turbo_lab.documents.golden import Margin, Thresholds
from turbo_lab.errors import JudgementError
from turbo_lab.golden.embedding import image_embedding
from turbo_lab.golden.library import GoldenLibrary, StoredTensors
from turbo_lab.golden.run_case import CaseRunner
from turbo_lab.golden.thresholds import library_thresholds, read_thresholds, write_thresholds
from turbo_lab.report.text.golden import print_calibration
from turbo_lab.trials.golden_calibration import Calibration, calibrate, load_cases, observe
from turbo_lab.trials.harmless import HARMLESS

QUICK = [change for change in HARMLESS if change.name in ("run again", "SDPA by plain math")]


def test_calibration_is_written_read_again_and_ratchets(
    one: GoldenLibrary, capsys: pytest.CaptureFixture[str]
) -> None:
    def calibrated(stored: Thresholds | None) -> Calibration:
        return calibrate(load_cases(one), image_embedding(), stored, changes=QUICK)

    found = calibrated(None)
    assert found.exact["run again"] == found.cases == 1
    assert 0 < found.thresholds["T1"]["latents_max_abs"].observed < 1e-3
    write_thresholds(one, found.thresholds, PROVENANCE)
    own = read_thresholds(one.root / "thresholds.json")
    assert own == found.thresholds
    assert one.read("two-steps").thresholds == own != read_thresholds()
    again = calibrated(library_thresholds(one))
    assert again.loose == ()
    print_calibration(again)
    assert "SDPA by plain math" in capsys.readouterr().out
    loose = {"T1": {**own["T1"], "latents_max_abs": Margin(1.0, 0.1, 9)}, "T2": own["T2"]}
    one.write_document(dataclasses.replace(one.read("two-steps"), thresholds=loose))
    last = calibrated(library_thresholds(one))
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


def test_a_fault_is_not_taken_for_noise(loaded: Loaded) -> None:
    with pytest.raises(
        JudgementError, match="two-steps: run again is not identical to the bit"
    ) as refusal:
        calibrate(loaded, image_embedding(), None, changes=QUICK, drawing=FAULTY)
    assert refusal.value.exit_code == 4
