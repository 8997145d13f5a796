"""From observed noise to a threshold, and the file of thresholds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.golden.observations import THRESHOLDS, observation, recorded
from turbo_lab.documents.golden import Margin, ThresholdProvenance
from turbo_lab.errors import StoreError
from turbo_lab.golden.library import GoldenLibrary
from turbo_lab.golden.thresholds import (
    FLOORS,
    STAGE_FLOOR,
    is_loose,
    library_thresholds,
    margin,
    read_thresholds,
    thresholds_document,
    write_thresholds,
)

PROVENANCE = ThresholdProvenance(
    safety=4.0, ratchet=12.0, cases=1, by_change={}, identical={}, keys={}, packages={}
)


def test_a_threshold_is_four_times_the_noise_or_the_floor() -> None:
    assert margin("window_density", [0.01, 0.02]) == Margin(0.08, 0.02, 2)
    assert margin("window_density", []) == Margin(4 * FLOORS["window_density"], 0.0, 0)
    assert margin("stage_relative_l2/unet", [1e-9]).threshold == 4 * STAGE_FLOOR


def test_a_threshold_is_loose_above_twelve_times_the_noise() -> None:
    now = Margin(0.08, 0.02, 2)
    assert is_loose("window_density", Margin(0.25, 0.06, 2), now)
    assert not is_loose("window_density", Margin(0.24, 0.06, 2), now)


def test_thresholds_are_written_to_the_library_and_to_each_golden(tmp_path: Path) -> None:
    library = GoldenLibrary(tmp_path / "goldens", tmp_path / "content")
    recorded(library, observation())
    assert library_thresholds(library) == read_thresholds()  # the packaged ones
    write_thresholds(library, THRESHOLDS, PROVENANCE)
    assert library_thresholds(library) == THRESHOLDS
    assert library.read("case").thresholds == THRESHOLDS


@pytest.mark.parametrize("damage", [lambda text: text[:300], lambda t: t.replace("0.02", "0.03")])
def test_a_file_that_was_edited_is_refused(tmp_path: Path, damage: object) -> None:
    path = tmp_path / "thresholds.json"
    text = json.dumps(thresholds_document(THRESHOLDS, PROVENANCE))
    path.write_text(text)
    assert read_thresholds(path) == THRESHOLDS
    assert callable(damage)
    path.write_text(damage(text))
    with pytest.raises(StoreError, match="golden calibrate --write"):
        read_thresholds(path)


def test_no_file_means_no_thresholds(tmp_path: Path) -> None:
    assert read_thresholds(tmp_path / "thresholds.json") == {}
