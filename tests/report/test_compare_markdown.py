"""A comparison for a pull request: GitHub's tables, and nothing in them becomes markup."""

from __future__ import annotations

import re

from tests.report.comparisons import NASTY, compare_report, several_entrants
from turbo_lab.report.compare_markdown import compare_markdown


def tables(text: str) -> list[list[list[str]]]:
    """Return the tables of a text as lists of rows of cells."""
    blocks = re.findall(r"(?:^\|.*\|\n)+", text, flags=re.M)
    return [
        [
            [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            for line in block.splitlines()
        ]
        for block in blocks
    ]


def test_one_table_of_all_entrants_with_numbers_to_the_right() -> None:
    text = compare_markdown(several_entrants())
    first, *_ = tables(text)
    heads, marks, *rows = first
    assert heads[0] == "entrant" and marks[0] == "---"
    assert set(marks[1:]) == {"---:"} and len(heads) == 8
    assert {len(row) for row in first} == {8}
    assert [row[0] for row in rows] == [
        "base 1 step",
        "dtype=x",
        "quantization=float8dq",
    ]
    assert rows[2][1:] == ["failed", *[""] * 6]
    assert "- failed: quantization=float8dq: needs \\| a GPU" in text


def test_the_rest_is_collapsed() -> None:
    text = compare_markdown(several_entrants())
    above, below = text.split("<details>\n<summary>Paired differences and prompts</summary>\n")
    assert above.count("\n| ") == 4 and "<sub>turbo-lab " in above
    assert below.startswith("\n| metric |") and below.endswith("\n</details>\n")
    assert "| clip\\_score / base 1 step dtype=x | at least as good |" in below


def test_text_of_others_is_no_markup() -> None:
    text = compare_markdown(several_entrants())
    assert NASTY not in text and "\\<img src=x" in text


def test_one_candidate_and_an_earlier_document() -> None:
    assert "slow 4 steps" in compare_markdown(compare_report())
