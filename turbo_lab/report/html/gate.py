"""HTML page of a gate: the verdict on top, then every check with its interval and margin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from turbo_lab.documents.gate import CheckResult, GateReport, PromptChange
from turbo_lab.report.html.page import Heading, Html, cell, join, page, pill, table, tag
from turbo_lab.report.html.pairs import PAIR_SCRIPTS, Pictures, prompt_pairs
from turbo_lab.report.markdown import (
    difference,
    difference_interval,
    note,
    number,
    signed,
    taken_over,
)
from turbo_lab.report.sentences import (
    gate_origin,
    gate_outcome,
    gate_sides,
    same_environment,
    same_pixels,
)
from turbo_lab.verdict import WORST_FIRST, Direction, Verdict

_WIDTH, _HEIGHT = 168, 24
_NONE: Pictures = {}
_WORDS = {verdict: str(verdict) for verdict in Verdict}
_NUMBERS = ("candidate", "baseline", "difference", "n", "detectable")
_HEADINGS = (
    "check",
    "verdict",
    "candidate",
    "baseline",
    "difference",
    "interval and margin",
    "n",
    "detectable",
    "note",
)


def gate_page(report: GateReport, pictures: Pictures = _NONE) -> str:
    """Return the HTML page about a gate.

    ``pictures``: images by ``candidate`` and ``baseline``, then by prompt.
    """
    checks = report.checks
    return page(
        f"Gate {report.gate}",
        report.verdict,
        tag("p", gate_outcome(report), class_="lead"),
        _counts(checks),
        tag("h2", "Checks"),
        check_table(checks),
        tag("p", _HOW, class_="soft legend"),
        *_prompts(report.prompts, pictures),
        tag("h2", "Sides"),
        _sides(report),
        *(tag("p", f"{text}.") for text in (same_pixels(report), taken_over(report)) if text),
        tag("h2", "Environment"),
        _environment(report),
        kind="turbo-lab gate",
        scripts=PAIR_SCRIPTS,
    )


def _prompts(found: Mapping[str, Sequence[PromptChange]], pictures: Pictures) -> Iterator[Html]:
    """Return the prompts to look at first, per metric."""
    if found:
        yield tag("h2", "Prompts that changed most")
        for name, pairs in found.items():
            yield tag("h3", name)
            yield prompt_pairs(pairs, ("candidate", "baseline"), pictures)


_HOW = (
    "Small numbers and the bar are the 95% interval of the difference. The tinted area is what the "
    "margin allows; the vertical line marks a difference of 0. A check passes if the bar is inside "
    "the area, and regresses if it is entirely outside. Detectable: the smallest difference that "
    "this number of pairs shows with 80% power."
)


def check_table(checks: Sequence[CheckResult], words: Mapping[Verdict, str] = _WORDS) -> Html:
    """Return one row per check; each becomes a block on a narrow screen."""
    rows = [
        (
            check.name,
            pill(check.verdict, words[check.verdict]),
            number(check.value),
            number(check.baseline),
            _difference(check),
            _plot_cell(check),
            check.n or "",
            number(check.minimum_detectable_effect),
            cell(note(check), class_="note"),
        )
        for check in checks
    ]
    columns = [Heading(name, is_number=name in _NUMBERS) for name in _HEADINGS]
    return table(columns, rows, class_="cards checks")


def _difference(check: CheckResult) -> Html | str:
    if check.difference is None:
        return ""
    interval = difference_interval(check)
    shown = join(signed(check.difference), tag("small", interval) if interval else None)
    return cell(shown, number(check.difference), class_="n", data_label="difference")


def _counts(checks: Sequence[CheckResult]) -> Html:
    verdicts = [check.verdict for check in checks]
    items = [
        tag("div", tag("dt", verdict), tag("dd", verdicts.count(verdict), class_=verdict))
        for verdict in WORST_FIRST
        if verdict in verdicts
    ]
    return tag("dl", *items, class_="facts")


def _sides(report: GateReport) -> Html:
    """Return the settings, digests and versions of both sides, and when the gate ran."""
    heads = [Heading(name) for name in ("side", "settings", "sha256", "versions")]
    rows = [
        (
            name,
            cell(tag("code", words), data_label="settings"),
            cell(digests, class_="mono", data_label="sha256"),
            cell(versions, data_label="versions"),
        )
        for name, words, digests, versions in gate_sides(report)
    ]
    return join(
        table(heads, rows, class_="cards"), tag("p", gate_origin(report), class_="soft legend")
    )


def _environment(report: GateReport) -> Html:
    differs = report.fingerprint_difference
    if not differs:
        return tag("p", same_environment(report) or "There is no baseline.", class_="soft")
    rows = [
        (d.key, cell(d.baseline, class_="mono"), cell(d.here, class_="mono differs"))
        for d in differs
    ]
    return table([Heading("key"), Heading("baseline"), Heading("here")], rows)


def _plot_cell(check: CheckResult) -> Html:
    """Return the cell with the plot; its sort key is the share of the margin that is used."""
    drawn = interval_plot(check)
    if drawn == "":
        return cell("", "")
    assert check.ci95 is not None  # there is a plot
    margin = tag("small", f"margin {number(check.margin)}") if check.margin else None
    return cell(join(drawn, margin), number(_used(check, check.ci95)), class_="drawn")


def _used(check: CheckResult, ci95: tuple[float, float]) -> float:
    """Return the worse end of the interval as a fraction of the margin."""
    low, high = ci95
    bad = {Direction.HIGHER: -low, Direction.LOWER: high}.get(
        check.direction, max(abs(low), abs(high))
    )
    return bad / check.margin if check.margin else bad


def interval_plot(check: CheckResult) -> Html | str:
    """Return the interval as a bar over the allowed range; nothing if there is no interval."""
    if check.ci95 is None or check.margin is None or check.difference is None:
        return ""
    (low, high), margin = check.ci95, check.margin
    span = 1.15 * max(abs(low), abs(high), margin) or 1.0

    def x(value: float) -> float:
        return round(_WIDTH / 2 * (1 + value / span), 1)

    # Allowed are values up to the margin on the worse side, and all values on the better side.
    start = -margin if check.direction in (Direction.HIGHER, Direction.NONE) else -span
    end = margin if check.direction in (Direction.LOWER, Direction.NONE) else span
    edges = [x(edge) for edge in (start, end) if abs(edge) == margin]
    return tag(
        "svg",
        tag(
            "rect",
            class_="margin",
            x=x(start),
            y=2,
            width=round(x(end) - x(start), 1),
            height=_HEIGHT - 4,
        ),
        tag("line", class_="axis", x1=x(0), x2=x(0), y1=0, y2=_HEIGHT),
        *(tag("line", class_="edge", x1=at, x2=at, y1=2, y2=_HEIGHT - 2) for at in edges),
        join(*_bar(x(low), x(high), x(check.difference))),
        class_=f"interval {check.verdict}",
        width=_WIDTH,
        height=_HEIGHT,
        role="img",
        aria_label=f"{difference(check)}, margin {number(margin)}",
    )


def _bar(low: float, high: float, value: float) -> list[Html]:
    middle = _HEIGHT / 2
    return [
        tag("line", class_="bar", x1=low, x2=high, y1=middle, y2=middle),
        tag("circle", class_="mark", cx=value, cy=middle, r=4),
    ]
