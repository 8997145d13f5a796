"""Tables and numbers of docs/goldens.md, and those in the README, are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from turbo_lab.trials import golden_invariance
from turbo_lab.trials.faults import FAULTS
from turbo_lab.trials.harmless import HARMLESS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "goldens.md").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")
NUMBERS = {7: "seven", 8: "eight", 9: "nine", 10: "ten", 11: "eleven", 12: "twelve"}
CODE = Path(golden_invariance.__file__).read_text("utf-8")
CHANGES = [change.name for change in HARMLESS]


def first_column(page: str, heading: str) -> list[str]:
    """Return the first cells of the table with this first heading, without bold rows."""
    table = page.partition(f"| {heading} |")[2].partition("\n\n")[0]
    cells = [line.split("|")[1].strip() for line in table.splitlines()[2:]]
    return [cell for cell in cells if not cell.startswith("**")]


def num_own_rows(code: str) -> int:
    """Return how many rows only invariance has: judged ones, and functions that return one."""
    functions = re.findall(r"^def \w+\(cases: .*\) -> Invariance:", code, flags=re.M)
    return len(re.findall(r'_JudgedRow\("', code)) + len(functions)


def counts(text: str) -> tuple[set[str], set[str]]:
    """Return the numbers of harmless changes and of faults that a text names."""
    plain = " ".join(text.split())
    harmless = re.findall(r"\bof (?:the )?(\w+) harmless changes", plain)
    faults = re.findall(r"injects (\d+) faults|\d+ of (\d+) faults", plain)
    return set(harmless), {first or second for first, second in faults}


def test_tables_list_every_fault_and_every_harmless_change() -> None:
    assert first_column(PAGE, "harmless change") == CHANGES
    assert first_column(PAGE, "fault") == [fault.name for fault in FAULTS]


def test_the_table_of_invariance_starts_with_harmless_changes_and_adds_its_own_rows() -> None:
    rows = first_column(PAGE, "change")
    assert rows[: len(CHANGES)] == CHANGES
    own = rows[len(CHANGES) :]
    assert [name for name in own if f'"{name}"' not in CODE] == []
    assert len(own) == num_own_rows(CODE)


@pytest.mark.parametrize("text", [PAGE, README], ids=["goldens.md", "README.md"])
def test_the_numbers_in_the_text_are_those_of_the_code(text: str) -> None:
    assert counts(text) == ({NUMBERS[len(HARMLESS)]}, {str(len(FAULTS))})


def test_these_tests_can_fail() -> None:
    text = "None of\nthe nine harmless changes; injects 99\nfaults, of which 1 of 98 faults"
    assert counts(text) == ({"nine"}, {"99", "98"})
    page = "| fault | T0 |\n| --- | --- |\n| a | caught |\n| **all** | |\n\n| b |"
    assert first_column(page, "fault") == ["a"]
    code = '_JudgedRow("x", "T1")\n\ndef _y(cases: Cases, runner: Runner) -> Invariance:'
    assert num_own_rows(code) == 2
