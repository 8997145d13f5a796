"""The page of a gate: the verdict on top, and every check with its interval and margin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from turbo_lab.report.outputs import difference, number
from turbo_lab.report.page import Html, page, table, tag

_WIDTH, _HEIGHT = 180, 22


def gate_report(values: Mapping[str, Any]) -> str:
    """One HTML file of a ``gate`` document."""
    columns = [("check", False), ("verdict", False), ("candidate", True), ("baseline", True),
               ("difference (95%)", True), ("interval and margin", False), ("n", True),
               ("smallest seen", True), ("", False)]  # fmt: skip
    rows = [
        (
            check["name"],
            tag("span", check["verdict"], class_=f"verdict {check['verdict']}"),
            number(check["value"]),
            number(check["baseline"]),
            difference(check),
            _interval(check),
            check["n"],
            number(check["minimum_detectable_effect"]),
            check["note"] or "",
        )
        for check in values["checks"]
    ]
    differs = [(d["key"], d["baseline"], d["here"]) for d in values["fingerprint_difference"]]
    environment = [
        tag("h2", "Environment, where it differs from the baseline's"),
        table([("key", False), ("baseline", False), ("here", False)], differs),
    ]
    return page(
        f"Gate {values['gate']}",
        values["verdict"],
        tag("p", "candidate: ", " ".join(values["candidate"]) or "the defaults", class_="soft"),
        table(columns, rows),
        *(environment if differs else [tag("p", "The fingerprint is the baseline's.")]),
    )


def _interval(check: Mapping[str, Any]) -> Html | str:
    """The interval as a bar over what the margin allows."""
    if check["ci95"] is None or not check["margin"]:
        return ""
    low, high = (float(bound) for bound in check["ci95"])
    margin = float(check["margin"])
    span = 1.15 * max(abs(low), abs(high), margin)

    def x(value: float) -> float:
        return round(_WIDTH / 2 * (1 + value / span), 1)

    # What is allowed: up to the margin on the bad side, everything on the good one.
    start = -margin if check["direction"] in ("higher", "none") else -span
    end = margin if check["direction"] in ("lower", "none") else span
    middle = _HEIGHT / 2
    return tag(
        "svg",
        tag("rect", class_="margin", x=x(start), y=2, width=x(end) - x(start), height=_HEIGHT - 4),
        tag("line", class_="axis", x1=x(0), x2=x(0), y1=0, y2=_HEIGHT),
        tag("line", class_="bar", x1=x(low), x2=x(high), y1=middle, y2=middle),
        tag("circle", class_="mark", cx=x(float(check["difference"])), cy=middle, r=3.5),
        width=_WIDTH, height=_HEIGHT, role="img",
        aria_label=f"{difference(check)}, margin {number(margin)}",
    )  # fmt: skip
