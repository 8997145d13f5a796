"""Annotations, outputs and comments, as GitHub reads them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turbo_lab.report.github import annotation_lines, comment, comment_mark, step_outputs
from turbo_lab.report.outcomes import Outcome, Outcomes
from turbo_lab.verdict import Verdict


def outcomes(*rows: Outcome, title: str = "gate release") -> Outcomes:
    return Outcomes(title, Verdict.REGRESSION, rows)


def test_each_row_that_did_not_pass_is_an_annotation() -> None:
    rows = [Outcome(verdict, verdict, "50% worse,\nagain") for verdict in Verdict]
    assert annotation_lines(outcomes(*rows)) == [
        "::error title=turbo-lab gate release%3A regression::regression: 50%25 worse,%0Aagain",
        "::error title=turbo-lab gate release%3A error::error: 50%25 worse,%0Aagain",
        "::warning title=turbo-lab gate release%3A inconclusive::inconclusive: "
        "50%25 worse,%0Aagain",
        "::warning title=turbo-lab gate release%3A uncovered::uncovered: 50%25 worse,%0Aagain",
    ]


@given(st.text(), st.text())
def test_no_text_starts_another_command(name: str, text: str) -> None:
    for line in annotation_lines(outcomes(Outcome(name, Verdict.ERROR, text))):
        assert not re.search(r"[\r\n]", line)
        assert re.fullmatch(r"::error title=[^:,]*::.*", line, re.DOTALL)


@pytest.mark.parametrize(("count", "shown"), [(10, 10), (11, 10), (300, 10)])
def test_at_most_ten_of_a_kind_are_annotated(count: int, shown: int) -> None:
    rows = [Outcome(f"case {i}", Verdict.REGRESSION, "differs") for i in range(count)]
    lines = annotation_lines(outcomes(*rows))
    assert len(lines) == shown
    assert ("more" in lines[-1]) == (count > 10)
    if count > 10:
        assert f"{count - 9} more" in lines[-1] and "case 9" in lines[-1]


@given(st.dictionaries(st.from_regex(r"[a-z]+", fullmatch=True), st.text("ab\n<", max_size=9)))
def test_outputs_are_read_back(values: dict[str, str]) -> None:
    found, lines = {}, iter(step_outputs(values).split("\n"))
    for line in lines:
        if "<<" in line:
            name, mark = line.split("<<")
            found[name] = "\n".join(iter(lambda mark=mark: next(lines), mark))  # type: ignore[misc]
    assert found == values


def test_a_comment_starts_with_its_mark_and_fits() -> None:
    short = comment("gate release", "## pass\n")
    assert short == "<!-- turbo-lab gate release -->\n## pass\n"
    assert comment_mark("gate --><b>") == "<!-- turbo-lab gate -b- -->"
    long = comment("gate release", "one line\n" * 20_000)
    assert len(long) <= 60_000 and long.endswith("the whole report is an artifact of the job.\n")
    assert "one line\n\nThis comment was shortened" in long.replace(
        "one line\n\n\n", "one line\n\n"
    )
