"""The gate's page and its other outputs: verdicts in words, intervals on their margins."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.report.browser import run_in_page
from turbo_lab.documents.gate import CheckResult, GateReport, IdenticalImages
from turbo_lab.report.html.gate import gate_page, interval_plot
from turbo_lab.report.junit import gate_junit
from turbo_lab.report.markdown import gate_markdown
from turbo_lab.verdict import Direction, Verdict


def check(verdict: str, ci95: Any, direction: str = "higher", **changes: Any) -> CheckResult:
    middle = None if ci95 is None else sum(ci95) / 2
    row = CheckResult(
        name="clip_score",
        verdict=Verdict(verdict),
        value=0.8,
        baseline=0.9,
        difference=middle,
        ci95=ci95,
        margin=0.02,
        n=128,
        minimum_detectable_effect=0.01,
        direction=Direction(direction),
    )
    return replace(row, **changes)


def report(*checks: CheckResult, verdict: str = "regression") -> GateReport:
    return GateReport(
        verdict=Verdict(verdict),
        gate="release",
        checks=checks,
        candidate=(),
        baseline=("model=<b>",),
        baseline_digest=None,
        prompts={},
        identical_images=IdenticalImages(same=3, of=128),
        from_store=None,
        fingerprint={},
        fingerprint_difference=(),
    )


def parts(plot: object) -> dict[str, dict[str, str]]:
    root = ElementTree.fromstring(str(plot))
    return {child.get("class", ""): dict(child.attrib) for child in root}


@pytest.mark.parametrize(
    ("direction", "field"),
    [("higher", (64.0, 168.0)), ("lower", (0.0, 104.0)), ("none", (64.0, 104.0))],
)
def test_the_field_is_what_the_margin_allows(direction: str, field: tuple[float, float]) -> None:
    # The span is 0.084, so that the margin of 0.02 lies 20 of 84 pixels from the middle.
    found = parts(interval_plot(check("pass", (-0.084 / 1.15, 0.0), direction)))
    start, width = float(found["margin"]["x"]), float(found["margin"]["width"])
    assert (start, start + width) == pytest.approx(field, abs=0.11)
    assert float(found["bar"]["x2"]) == float(found["axis"]["x1"]) == 84.0
    assert float(found["mark"]["cx"]) == pytest.approx(
        (float(found["bar"]["x1"]) + 84) / 2, abs=0.1
    )


def test_a_check_without_an_interval_draws_nothing() -> None:
    assert interval_plot(check("uncovered", None)) == ""
    assert interval_plot(check("pass", (0.0, 0.0), margin=0.0)) != ""


def test_the_page_says_the_worst_first_and_sorts_by_margin_used() -> None:
    page = gate_page(
        report(
            check("pass", (-0.01, 0.01), name="fine"),
            check("inconclusive", (-0.03, 0.01), name="open", needed_n=310),
            check("regression", (-0.09, -0.05), name="worse"),
            check("uncovered", None, name="bare", difference=None, n=0),
        )
    )
    found = run_in_page(
        page,
        """
        const all = (q) => [...document.querySelectorAll(q)];
        found.lead = document.querySelector(".lead").textContent;
        found.counts = all(".facts dd").map((d) => d.textContent);
        found.note = document.querySelector("tbody").rows[1].cells[8].textContent;
        found.side = all("code").map((c) => c.textContent);
        const sort = all("th button")[5];
        sort.click(); sort.click();
        found.sorted = [...document.querySelector("tbody").rows].map((r) => r.cells[0].textContent);
        """,
    )
    assert found["errors"] == []
    assert found["lead"] == (
        "Something got worse. worse: regression; bare: uncovered; open: inconclusive."
    )
    assert found["counts"] == ["1", "1", "1", "1"]
    assert found["note"] == "about 310 instead of 128 would decide"
    assert found["side"] == ["the defaults", "model=<b>"]
    assert found["sorted"] == ["worse", "open", "fine", "bare"]


def test_every_verdict_has_its_words() -> None:
    for verdict in ("pass", "regression", "inconclusive", "uncovered", "error"):
        page = gate_page(report(check(verdict, (-0.01, 0.01)), verdict=verdict))
        assert f'class="verdict {verdict}"' in page


def test_junit_holds_what_xml_cannot() -> None:
    """A message from a crashed worker may hold control characters, even with no escape in XML."""
    text = "terminal \x1b[31m red \x00 and \ud800 alone \U0001f4a5"
    suite = ElementTree.fromstring(gate_junit(report(check("error", None, note=text))))
    error = suite.find("testcase/error")
    assert error is not None
    message = error.get("message") or ""
    assert "red" in message and "\U0001f4a5" in message and "\x1b" not in message


def test_markdown_of_a_gate_is_one_table() -> None:
    lines = gate_markdown(report(check("regression", (-0.09, -0.05), note="a|b"))).splitlines()
    assert lines[0].endswith("❌ regression")
    row = lines[4].replace("\\|", "")
    assert row.count("|") == 9 and "-0.07 (-0.09 to -0.05)" in row
    assert lines[-1] == "3 of 128 images have the baseline's pixels."


def test_every_output_says_how_many_would_decide() -> None:
    """In the same words, before what else there is to know."""
    values = report(check("inconclusive", (-0.03, 0.01), needed_n=310, note="retried"))
    said = "about 310 instead of 128 would decide; retried"
    assert said in gate_markdown(values) and said in gate_junit(values)
    assert said in gate_page(values)


def test_a_two_sided_band_is_drawn_on_both_sides() -> None:
    page = gate_page(report(check("regression", (0.03, 0.05), "none")))
    (field,) = re.findall(r'class="margin" x="([0-9.]+)" y="2" width="([0-9.]+)"', page)
    start, width = map(float, field)
    assert start > 0 and start + width < 168 and start + width / 2 == pytest.approx(84, abs=0.2)
