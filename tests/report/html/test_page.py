"""Frame of every page: escaping, themes and the keyboard."""

from __future__ import annotations

import pytest

from tests.report.pages import in_page
from turbo_lab.report.html.page import Heading, Html, cell, table, tag


@pytest.mark.parametrize(
    ("value", "text"),
    [("<b>", "&lt;b&gt;"), (Html("<b>"), "<b>"), ('"&', "&quot;&amp;"), (1, "1")],
)
def test_text_is_escaped_unless_it_is_markup(value: object, text: str) -> None:
    assert tag("p", value, None) == f"<p>{text}</p>"


def test_attributes_are_escaped_and_none_is_left_out() -> None:
    found = tag("input", class_="a", data_for='"x"', checked=True, disabled=False, value=None)
    assert found == '<input class="a" data-for="&quot;x&quot;" checked>'


def test_a_heading_says_what_its_column_holds_and_which_end_is_first() -> None:
    found = table([Heading("a ↑"), Heading("b", is_number=True, is_largest_first=True)], [])
    assert '<th scope="col"><button type="button">a ↑</button></th>' in found
    assert '<th class="n" scope="col" data-first="descending">' in found


def test_only_a_made_cell_keeps_its_own_attributes() -> None:
    found = table([Heading("a"), Heading("b")], [(Html("<td>x</td>"), cell("y", class_="mono"))])
    assert '<td data-label="a"><td>x</td></td><td class="mono">y</td>' in found


def test_both_themes_work_and_everything_has_a_name_and_a_tab_stop(sweep_page: str) -> None:
    found = in_page(
        sweep_page,
        """
        const colours = () => [getComputedStyle(document.body).backgroundColor,
          getComputedStyle(document.body).color];
        const before = colours();
        $(".theme").click();
        const after = colours();
        found.changed = before.every((colour, i) => colour !== after[i]);
        $(".theme").click();
        found.back = String(colours()) === String(before);
        // Of the tiles, of the tabs and of the points in a plot, one is a tab stop.
        const stops = (q) => all(q).filter((e) => e.tabIndex === 0).length;
        found.stops = [".tile", "[role=tab]", "#tradeoff svg .point"].map(stops);
        found.focusable = all("button:not(.tile, [role=tab]), input, select, a[href]").every(
          (e) => e.tabIndex === 0);
        found.named = all("button, input, select").every(
          (e) => e.textContent.trim() || e.ariaLabel || e.closest("label"));
        found.links = all("nav a").every((a) => $(a.getAttribute("href")));
        """,
    )
    assert found.pop("stops") == [1, 1, 2]
    assert found == {"changed": True, "back": True, "focusable": True, "named": True, "links": True}
