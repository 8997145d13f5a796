"""Page of a gate: verdicts in words, intervals on their margins."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from tests.report.browser import run_in_page
from tests.report.gates import NASTY, awkward_report, check_result, gate_report
from turbo_lab.report.html.gate import gate_page, interval_plot


def parts(plot: object) -> dict[str, dict[str, str]]:
    root = ElementTree.fromstring(str(plot))
    return {child.get("class", ""): dict(child.attrib) for child in root}


@pytest.mark.parametrize(
    ("direction", "field"),
    [("higher", (64.0, 168.0)), ("lower", (0.0, 104.0)), ("none", (64.0, 104.0))],
)
def test_the_tinted_area_is_what_the_margin_allows(
    direction: str, field: tuple[float, float]
) -> None:
    # The span is 0.084, so the margin of 0.02 is 20 of 84 pixels from the middle.
    found = parts(interval_plot(check_result("pass", (-0.084 / 1.15, 0.0), direction)))
    start, width = float(found["margin"]["x"]), float(found["margin"]["width"])
    assert (start, start + width) == pytest.approx(field, abs=0.11)
    assert float(found["bar"]["x2"]) == float(found["axis"]["x1"]) == 84.0
    assert float(found["mark"]["cx"]) == pytest.approx(
        (float(found["bar"]["x1"]) + 84) / 2, abs=0.1
    )


def test_a_check_without_an_interval_draws_nothing() -> None:
    assert interval_plot(check_result("uncovered", None)) == ""
    assert interval_plot(check_result("pass", (0.0, 0.0), margin=0.0)) != ""


def test_the_page_names_the_worst_check_first_and_sorts_by_margin_used() -> None:
    page = gate_page(
        gate_report(
            check_result("pass", (-0.01, 0.01), name="fine"),
            check_result("inconclusive", (-0.03, 0.01), name="open", needed_n=310),
            check_result("regression", (-0.09, -0.05), name="worse"),
            check_result("uncovered", None, name="bare", difference=None, n=0),
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
        "At least one check found a regression. "
        "worse: regression; bare: uncovered; open: inconclusive."
    )
    assert found["counts"] == ["1", "1", "1", "1"]
    assert found["note"] == "about 310 pairs instead of 128 would decide"
    assert found["side"] == ["(the defaults)", "model=<b>"]
    assert found["sorted"] == ["worse", "open", "fine", "bare"]


def test_every_verdict_has_a_class_of_its_own() -> None:
    for verdict in ("pass", "regression", "inconclusive", "uncovered", "error"):
        page = gate_page(gate_report(check_result(verdict, (-0.01, 0.01)), verdict=verdict))
        assert f'class="verdict {verdict}"' in page


def test_a_two_sided_band_is_drawn_on_both_sides() -> None:
    page = gate_page(gate_report(check_result("regression", (0.03, 0.05), "none")))
    (field,) = re.findall(r'class="margin" x="([0-9.]+)" y="2" width="([0-9.]+)"', page)
    start, width = map(float, field)
    assert start > 0 and start + width < 168 and start + width / 2 == pytest.approx(84, abs=0.2)


def test_the_page_in_the_browser() -> None:
    found = run_in_page(
        gate_page(awkward_report()),
        """
        const all = (q) => [...document.querySelectorAll(q)];
        found.verdict = document.querySelector("header .verdict").textContent;
        found.note = document.querySelector("tbody").rows[1].cells[8].textContent;
        found.bars = all("svg .bar").length;
        found.pairs = all(".pair p").map((p) => p.textContent);
        document.querySelectorAll("th button")[2].click();
        found.sorted = [...document.querySelector("tbody").rows].map((r) => r.cells[0].textContent);
        """,
    )
    assert found["errors"] == []
    assert (found["verdict"], found["note"], found["bars"]) == ("regression", NASTY, 2)
    assert found["pairs"] == [f"{NASTY} -0.400", "a | b -0.100"]
    assert found["sorted"] == ["clip_score", "r_precision", "licenses", "goldens"]
