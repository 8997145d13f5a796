"""Results of a gate's checks."""

from __future__ import annotations

from turbo_lab.documents.document import read_value, to_document
from turbo_lab.documents.gate import CheckResult
from turbo_lab.verdict import Direction, Verdict


def test_a_check_that_measures_nothing_has_a_verdict_and_a_note() -> None:
    row = CheckResult.without_value("goldens", Verdict.UNCOVERED, "there are none", n=3)
    assert (row.name, row.verdict, row.note, row.n) == (
        "goldens",
        Verdict.UNCOVERED,
        "there are none",
        3,
    )
    absent = (row.value, row.baseline, row.difference, row.ci95, row.margin, row.p_value)
    assert set(absent) == {None} and row.direction is Direction.NONE


def test_a_check_survives_a_round_trip() -> None:
    row = CheckResult(
        name="clip_score",
        verdict=Verdict.INCONCLUSIVE,
        value=0.5,
        ci95=(-0.1, 0.1),
        n=8,
        direction=Direction.HIGHER,
        needed_n=120,
    )
    assert read_value(CheckResult, to_document("gate", row), "here") == row
