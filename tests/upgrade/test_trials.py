"""Trials of a bisection, on evidence that is there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.golden_cases import Loaded
from tests.upgrade.searches import CASE, Version, search
from tests.upgrade.test_remote import environment
from turbo_lab.golden.observation import Observation
from turbo_lab.golden.run_case import CaseRunner
from turbo_lab.upgrade.installer import Resolved
from turbo_lab.upgrade.search import Outcome
from turbo_lab.upgrade.trials import Trials

pytestmark = pytest.mark.usefixtures("in_folder")


@pytest.fixture(scope="module")
def seen(runner: CaseRunner, loaded: Loaded) -> Observation:
    return runner.run(next(one.case for one in loaded if one.case.name == CASE))


VERSIONS = (
    Version(),
    Version(changed="vae"),
    Version(failure="lamp 1.2 could not import its libraries: ImportError"),
    Version(skip="cannot be installed: no wheel"),
)


@pytest.mark.parametrize(
    ("test", "outcomes"),
    [
        ("bits", "same changed skipped skipped"),
        ("golden", "same changed skipped skipped"),
        ("crash", "same same changed skipped"),
    ],
)
def test_outcomes(test: str, outcomes: str, tmp_path: Path, seen: Observation) -> None:
    trials = Trials(search(tmp_path, seen, VERSIONS, test))
    reference = trials.at(0)
    found = [trials.outcome(trials.at(place), reference)[0] for place in range(4)]
    assert found == [Outcome(word) for word in outcomes.split()]


def test_outcomes_are_said_in_words(tmp_path: Path, seen: Observation) -> None:
    trials = Trials(search(tmp_path, seen, VERSIONS))
    reference = trials.at(0)
    notes = [trials.outcome(trials.at(place), reference)[1] for place in range(4)]
    assert notes[0] == "the reference"
    assert notes[1] == "0 of 1 identical to the bit, first at vae"
    assert notes[2].endswith("ImportError")
    assert notes[3] == "cannot be installed: no wheel"


def test_a_golden_is_judged_for_the_reference_too(tmp_path: Path, seen: Observation) -> None:
    trials = Trials(search(tmp_path, seen, [Version(changed="vae"), Version()], "golden"))
    first = trials.at(0)
    assert trials.outcome(first, first) == (Outcome.CHANGED, "0 of 1 goldens pass")


@pytest.mark.parametrize(
    ("text", "version", "failure", "skip"),
    [
        ("raise ImportError('broken')", "77.0", "ImportError: broken", None),
        ("version = 1", "78.0", None, "does not import what was resolved: torch 77.0 instead of"),
    ],
)
def test_a_version_that_cannot_draw_is_no_error_of_the_search(
    text: str,
    version: str,
    failure: str | None,
    skip: str | None,
    tmp_path: Path,
    seen: Observation,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("TURBO_LAB_CACHE", str(tmp_path / "cache"))
    made = replace(environment(tmp_path, torch=text), packages=(Resolved("torch", version),))
    trials = Trials(search(tmp_path / "evidence", seen, VERSIONS))
    monkeypatch.setattr(trials, "_environment", lambda wanted: made)
    found = trials.evidence("77.0", list)
    assert (failure or "") in (found.failure or "") and (skip or "") in (found.skip or "")
    assert (found.failure is None, found.skip is None) == (failure is None, skip is None)
