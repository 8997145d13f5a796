"""Trials of a bisection, on evidence that is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.golden_cases import Loaded
from tests.upgrade.searches import CASE, Version, search
from turbo_lab.golden.observation import Observation
from turbo_lab.golden.run_case import CaseRunner
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
