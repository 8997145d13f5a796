"""The page of a golden check: what was expected, what came, and where it left the path."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from turbo_lab.images import encode_png
from turbo_lab.report.page import Html, image, join, page, table, tag

_WIDTH = 16  # rem of one 64 x 64 image


def golden_report(values: Mapping[str, Any], pictures: Mapping[str, Mapping[str, bytes]]) -> str:
    """One HTML file of a ``golden check`` document.

    ``pictures``: by case, then ``expected`` and ``actual``: PNG files, the
    images of a batch side by side. Failing cases come first.
    """
    order = {"error": 0, "regression": 1, "uncovered": 2, "pass": 3}
    cases = sorted(values["cases"], key=lambda case: order[case["verdict"]])
    counts = [case["verdict"] for case in cases]
    summary = ", ".join(f"{counts.count(v)} {v}" for v in order if v in counts)
    rows = [
        (
            tag("a", case["name"], href=f"#{_identity(case)}"),
            tag("span", case["verdict"], class_=f"verdict {case['verdict']}"),
            case["tier"] or "",
            (case["first_divergence"] or {}).get("stage", ""),
            case["message"],
        )
        for case in cases
    ]
    columns = [("case", False), ("verdict", False), ("tier", False), ("first at", False),
               ("", False)]  # fmt: skip
    failing = [case for case in cases if case["verdict"] != "pass"]
    return page(
        "Golden check",
        values["verdict"],
        tag("p", summary, class_="soft"),
        tag("div", table(columns, rows), class_="summary"),
        *(_case(case, pictures.get(case["name"], {})) for case in failing),
    )


def _case(case: Mapping[str, Any], pictures: Mapping[str, bytes]) -> Html:
    return tag(
        "section",
        tag("h2", case["name"], " ", tag("span", case["verdict"], class_=case["verdict"])),
        tag("p", case["message"]),
        _pictures(_identity(case), pictures),
        _chain(case),
        _fingerprint(case),
        class_="case",
        id=_identity(case),
    )


def _identity(case: Mapping[str, Any]) -> str:
    return "case-" + "".join(c if c.isalnum() else "-" for c in case["name"])


def _pictures(identity: str, pictures: Mapping[str, bytes]) -> Html | None:
    if "expected" not in pictures or "actual" not in pictures:
        shown = [_figure(name, png) for name, png in pictures.items()]
        return tag("div", *shown, class_="images") if shown else None
    expected, actual = _pixels(pictures["expected"]), _pixels(pictures["actual"])
    shown = [_figure("expected", pictures["expected"]), _figure("actual", pictures["actual"])]
    if expected.shape == actual.shape:
        shown.append(_figure("difference", encode_png(heatmap(expected, actual), {})))
        shown.append(_slider(identity, pictures, expected.shape[1] / expected.shape[0]))
    return tag("div", *shown, class_="images")


def _figure(name: str, png: bytes) -> Html:
    pixels = _pixels(png)
    width = f"--w:{_WIDTH * pixels.shape[1] / pixels.shape[0]:.1f}rem"
    return tag("figure", image(png, name), tag("figcaption", name), style=width)


def _slider(identity: str, pictures: Mapping[str, bytes], aspect: float) -> Html:
    """Both on top of each other: a slider uncovers, a button blinks."""
    both = f"{identity}-both"
    return tag(
        "figure",
        tag(
            "div",
            image(pictures["expected"], "expected"),
            image(pictures["actual"], "actual"),
            class_="compare",
            id=both,
        ),
        tag("input", type="range", class_="slider", value="50", aria_controls=both,
            aria_label="expected on the left, actual on the right"),
        tag("button", "blink", type="button", class_="blinks", aria_controls=both,
            aria_pressed="false"),
        tag("figcaption", "expected | actual"),
        style=f"--w:{_WIDTH * aspect:.1f}rem",
    )  # fmt: skip


def heatmap(expected: np.ndarray, actual: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8: the largest difference of a channel, black to yellow, on a scale of its own.

    A difference of one level is seen as one of a hundred is: the figures say how much.
    """
    apart = np.abs(expected.astype(np.int16) - actual.astype(np.int16)).max(axis=-1)
    share = apart / max(1, int(apart.max()))
    ramp = np.stack([np.minimum(1, 2 * share), np.maximum(0, 2 * share - 1), 0.25 * share], axis=-1)
    return np.round(ramp * 255).astype(np.uint8)


def _chain(case: Mapping[str, Any]) -> Html | None:
    if not case["stages"]:
        return None
    first = (case["first_divergence"] or {}).get("stage")
    items = []
    for stage in case["stages"]:
        name = stage["stage"]
        kind = "first" if name == first else "" if stage["equal"] else "off"
        items.append(tag("li", name, _size(stage), class_=kind or None, title=_title(stage)))
    own = [stage["stage"] for stage in case["own"] if not stage["equal"]]
    explained = tag(
        "p", "Fed the golden's tensors, these still differ: ", ", ".join(own) or "none",
        class_="soft",
    ) if case["own"] else None  # fmt: skip
    return join([tag("h3", "Stages"), tag("ol", *items, class_="chain"), explained])


def _size(stage: Mapping[str, Any]) -> str:
    if stage["equal"] or stage["relative_l2"] is None:
        return ""
    return f" {float(stage['relative_l2']):.1e}"


def _title(stage: Mapping[str, Any]) -> str:
    if stage["equal"]:
        return "equal to the bit"
    largest = stage["max_abs"]
    if stage["relative_l2"] is None:
        return "another shape, or missing"
    how = "about " if stage["estimated"] else ""
    most = "" if largest is None else f", by up to {float(largest):.3g}"
    return f"differs by {how}{float(stage['relative_l2']):.3g} of its norm{most}"


def _fingerprint(case: Mapping[str, Any]) -> Html | None:
    rows = [(d["key"], d["golden"], d["here"]) for d in case["fingerprint_difference"]]
    if not rows:
        return tag("p", "The fingerprint is the golden's.", class_="soft")
    columns = [("key", False), ("golden", False), ("here", False)]
    return join([tag("h3", "Fingerprint"), table(columns, rows)])


def _pixels(png: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(png)) as opened:
        return np.asarray(opened.convert("RGB"))
