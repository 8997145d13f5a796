"""Goldens that were recorded or accepted, on a terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from turbo_lab.documents.golden import AcceptedCase
from turbo_lab.golden.library import GoldenLibrary
from turbo_lab.report.text.golden_lifecycle import announcement, print_accepted, print_recorded


@pytest.mark.parametrize(
    ("cases", "processes", "text"),
    [
        (1, 0, "recording 1 golden, without a fresh process to compare with"),
        (2, 1, "recording 2 goldens, each drawn again in 1 fresh process"),
        (2, 3, "recording 2 goldens, each drawn again in 3 fresh processes"),
    ],
)
def test_the_work_is_announced(cases: int, processes: int, text: str) -> None:
    assert announcement(cases, processes) == text


def test_a_recording_names_its_proof_and_the_next_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    library = GoldenLibrary(tmp_path)
    print_recorded(library, [], 5)
    shown = capsys.readouterr().out
    assert "Every case had the same bits in this process and in 5 fresh processes." in shown
    assert "at most 50% of processes would draw other bits" in shown
    print_recorded(library, [], 0)
    shown = capsys.readouterr().out
    assert "it is not known whether they reproduce" in shown
    assert shown.endswith("check them      turbo-lab golden check\n")


def test_an_acceptance_names_its_predecessor_its_day_and_a_rejection(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_accepted(
        [
            AcceptedCase("first", "a" * 64, None, None, None),
            AcceptedCase("second", "a" * 64, "b" * 64, None, "too dark"),
            AcceptedCase("third", "a" * 64, None, "2027-01-31", None),
        ]
    )
    rows = [line.split(maxsplit=2)[-1] for line in capsys.readouterr().out.splitlines()]
    assert rows[0] == "is the golden; it has no predecessor"
    assert rows[1] == "is the golden; its predecessor was bbbbbbbbbbbb"
    assert rows[2].endswith("(too dark) and is no longer")
    assert rows[3] == "accepted until 2027-01-31; the golden stays"
