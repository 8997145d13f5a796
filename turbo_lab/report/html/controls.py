"""Controls of a sweep's page: its one filter, and the frame in which scripts build the tiles."""

from __future__ import annotations

from collections.abc import Iterable

from turbo_lab.report.html.explorer import ExplorerData
from turbo_lab.report.html.page import Html, join, tag

_MOST_CHOICES = 12
_EDGE = 120  # initial size of a tile, in CSS pixels
_MARKS = (
    ("", "any mark"),
    ("favourite", "favourites"),
    ("reject", "rejects"),
    ("kept", "not rejected"),
    ("none", "not marked"),
)


def filter_form(data: ExplorerData) -> Html:
    """Return the form that filters rows, points, strips, prompts and tiles together."""
    axes = [
        _select(f"axis:{index}", f"any {axis.title}", enumerate(axis.values), axis.title)
        for index, axis in enumerate(data.axes)
        if 1 < len(axis.values) <= _MOST_CHOICES
    ]
    metrics = [(f"c{index}", one.title) for index, one in enumerate(data.metrics)]
    metrics += [
        (f"i{index}", f"{one.title} of the image") for index, one in enumerate(data.image_metrics)
    ]
    between = tag(
        "span",
        _select("metric", "any metric", metrics, "metric to filter by"),
        _bound("low", "from"),
        _bound("high", "to"),
        class_="range",
    )
    words = tag(
        "input",
        type="search",
        name="words",
        placeholder="filter: panda steps=2",
        aria_label="filter by words",
        aria_keyshortcuts="/",
        autocomplete="off",
    )
    return tag(
        "form",
        words,
        *axes,
        between if metrics else None,
        _select("marks", _MARKS[0][1], _MARKS[1:], "marks"),
        tag("output", aria_live="polite", class_="soft"),
        tag("button", "clear", type="reset"),
        id="filter",
        class_="filter",
    )


def explorer() -> Html:
    """Return the frame of the tiles: how they are arranged, what was marked, and the help."""
    return join(
        tag(
            "div",
            *(_arrange(name) for name in ("columns", "rows", "tabs", "order")),
            tag(
                "label",
                "size ",
                tag("input", type="range", id="edge", min=56, max=320, value=_EDGE),
            ),
            tag(
                "span",
                tag("span", id="marked", class_="soft", aria_live="polite"),
                tag("button", "export", type="button", id="export"),
                tag("button", "keys", type="button", id="keys", aria_keyshortcuts="?"),
                class_="last",
            ),
            class_="controls",
            id="layout",
        ),
        tag("p", id="notice", class_="warn", hidden=True),
        tag("div", role="tablist", aria_label="tabs", id="tabs", hidden=True),
        tag("div", id="grid", style=f"--edge:{_EDGE}px"),
        tag("noscript", "The images need the scripts of this page."),
    )


def _arrange(name: str) -> Html:
    return tag("label", f"{name} ", tag("select", name=name))


def _bound(name: str, words: str) -> Html:
    return tag(
        "input",
        type="number",
        step="any",
        name=name,
        placeholder=words,
        aria_label=f"metric {words}",
    )


def _select(name: str, nothing: str, values: Iterable[tuple[object, str]], words: str) -> Html:
    options = [tag("option", text, value=value) for value, text in values]
    return tag("select", tag("option", nothing, value=""), *options, name=name, aria_label=words)
