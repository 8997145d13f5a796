"""HTML page of a golden check: expected and actual images, and the first stage that differs."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from turbo_lab.documents.golden import CheckedCase, GoldenCheck, StageDifference
from turbo_lab.images import decode_png, encode_png
from turbo_lab.report.html.page import (
    Heading,
    Html,
    cell,
    image,
    join,
    page,
    pill,
    table,
    tag,
)
from turbo_lab.report.html.pairs import PAIR_SCRIPTS, opens
from turbo_lab.report.sentences import case_lines
from turbo_lab.verdict import WORST_FIRST, Verdict

_WIDTH = 16  # width of a square image, in rem
_TINY = 256  # pixels: smaller images are enlarged without smoothing
# The bar of a stage spans relative differences from this, which is rounding, to 1.
_SMALLEST = 1e-8


def golden_page(check: GoldenCheck, pictures: Mapping[str, Mapping[str, bytes]]) -> str:
    """Return the HTML page about a golden check, with failing cases first.

    ``pictures``: PNG files with the images of a batch next to each other, by case and then by
    ``expected`` and ``actual``.
    """
    cases = sorted(check.cases, key=lambda case: WORST_FIRST.index(case.verdict))
    counts = [case.verdict for case in cases]
    facts = [(verdict, counts.count(verdict)) for verdict in WORST_FIRST if verdict in counts]
    failing = [case for case in cases if case.verdict != Verdict.PASS]
    return page(
        "Golden check",
        check.verdict,
        tag("dl", *(_fact(verdict, count) for verdict, count in facts), class_="facts"),
        tag("h2", "Cases"),
        _filter(len(cases)) if len(cases) > 1 else None,
        tag("div", _summary(cases), class_="summary"),
        *(_case(index, case, pictures.get(case.name, {})) for index, case in enumerate(failing)),
        scripts=(*PAIR_SCRIPTS, "cases"),
    )


def _fact(verdict: str, count: int) -> Html:
    return tag("div", tag("dt", verdict), tag("dd", count, class_=verdict))


def _filter(count: int) -> Html:
    return tag(
        "form",
        tag(
            "input",
            type="search",
            placeholder="filter cases",
            aria_label="filter cases",
            autocomplete="off",
        ),
        tag("span", tag("output", count), " cases", class_="soft"),
        tag("button", "clear", type="reset"),
        tag("span", "j: next case, k: previous case", class_="soft wide"),
        class_="filter",
        data_for="cases",
    )


def _summary(cases: list[CheckedCase]) -> Html:
    """Return one row per case; failing cases link to their sections."""
    names = ("case", "verdict", "tier", "first difference", "reason")
    columns = [Heading(name) for name in names]
    rows, attributes = [], []
    for index, case in enumerate(cases):
        first = _first(case)
        passed = case.verdict == Verdict.PASS
        name = case.name if passed else tag("a", case.name, href=f"#{_identity(case)}")
        rows.append((name, pill(case.verdict), case.tier or "", first, case.message))
        words = f"{case.name} {case.verdict} {case.tier} {first} {case.message}"
        attributes.append({"data_cell": index, "data_text": words.lower()})
    return table(columns, rows, attributes, identity="cases")


def _first(case: CheckedCase) -> str:
    """Return the first stage that differs; empty if none does."""
    return "" if case.first_divergence is None else case.first_divergence.stage


def _case(index: int, case: CheckedCase, pictures: Mapping[str, bytes]) -> Html:
    return tag(
        "section",
        tag("h2", case.name, pill(case.verdict)),
        *(tag("p", line) for line in case_lines(case)),
        _pictures(case.name, pictures),
        _chain(case),
        _distances(case),
        _fingerprint(case),
        class_="case",
        id=_identity(case),
        data_cell=index,
        tabindex=-1,
    )


def _identity(case: CheckedCase) -> str:
    return "case-" + "".join("-" if c.isspace() else c for c in case.name)


def _pictures(name: str, pictures: Mapping[str, bytes]) -> Html | None:
    """Return both images and their difference; the viewer compares them in other ways."""
    if "expected" not in pictures or "actual" not in pictures:
        shown = [_figure(name, png) for name, png in pictures.items()]
        return tag("div", *shown, class_="images") if shown else None
    expected, actual = decode_png(pictures["expected"]), decode_png(pictures["actual"])
    shown = [_figure(side, pictures[side], is_opened=True) for side in ("expected", "actual")]
    if expected.shape == actual.shape:
        caption = f"difference: {_difference(expected, actual)}"
        shown.append(_figure(caption, encode_png(heatmap(expected, actual), {})))
    return tag("div", *shown, class_="images", data_pair=name)


def _figure(name: str, png: bytes, is_opened: bool = False) -> Html:
    height, width, _ = decode_png(png).shape
    kind = "tiny" if max(width, height) <= _TINY else None
    shown = image(png, name, class_=kind, width=width, height=height)
    size = f"--w:{_WIDTH * width / height:.1f}rem"
    return tag(
        "figure",
        opens(shown) if is_opened else shown,
        tag("figcaption", name),
        style=size,
    )


def _difference(expected: np.ndarray, actual: np.ndarray) -> str:
    """Return the size of the difference, such as ``up to 12 levels in 3.1% of the pixels``."""
    apart = np.abs(expected.astype(np.int16) - actual.astype(np.int16)).max(axis=-1)
    largest = int(apart.max())
    if largest == 0:
        return "none"
    levels = "1 level" if largest == 1 else f"{largest} levels"
    share = 100 * np.count_nonzero(apart) / apart.size
    return f"up to {levels} in {share:.2g}% of the pixels"


def heatmap(expected: np.ndarray, actual: np.ndarray) -> np.ndarray:
    """Return the largest difference over the channels as colours, (H, W, 3) uint8.

    The scale goes from black to yellow and ends at the largest difference of this image, so that
    one level is as visible as a hundred. The caption gives the size.
    """
    apart = np.abs(expected.astype(np.int16) - actual.astype(np.int16)).max(axis=-1)
    share = apart / max(1, int(apart.max()))
    ramp = np.stack([np.minimum(1, 2 * share), np.maximum(0, 2 * share - 1), 0.25 * share], axis=-1)
    return np.round(ramp * 255).astype(np.uint8)


def _chain(case: CheckedCase) -> Html | None:
    """Return the stages in order, with the size of each difference; the first one is marked."""
    if not case.stages:
        return None
    first = _first(case)
    items = []
    for stage in case.stages:
        name, off = stage.stage, "off" if not stage.equal else "equal"
        level = f"--level:{_level(stage):.0%}" if off == "off" else None
        kind = "first" if name == first else off
        items.append(tag("li", name, _size(stage), class_=kind, title=_title(stage), style=level))
    words = case.explanation
    explained = tag("p", words[0].upper() + words[1:], class_="soft") if words else None
    return join(tag("h3", "Stages"), tag("ol", *items, class_="chain"), explained)


def _size(stage: StageDifference) -> str:
    if stage.equal or stage.relative_l2 is None:
        return ""
    return f" {stage.relative_l2:.1e}"


def _level(stage: StageDifference) -> float:
    """Return a relative difference on a logarithmic scale from 0 to 1; 1 if it is unknown."""
    size = None if stage.relative_l2 is None else stage.relative_l2
    if size is None or not math.isfinite(size):
        return 1.0
    return min(1.0, max(0.04, 1 - math.log10(max(size, _SMALLEST)) / math.log10(_SMALLEST)))


def _title(stage: StageDifference) -> str:
    if stage.equal:
        return "bit for bit equal"
    largest = stage.max_abs
    if stage.relative_l2 is None:
        return "different shape, or missing"
    about = "about " if stage.estimated else ""
    most = "" if largest is None else f", largest difference {largest:.3g}"
    return f"relative L2 difference {about}{stage.relative_l2:.3g}{most}"


def _distances(case: CheckedCase) -> Html | None:
    """Return the distances that the tier computed, with their thresholds."""
    if not case.figures:
        return None
    columns = [Heading("distance"), Heading("here", True), Heading("threshold", True), Heading("")]
    rows = [
        (name, _number(one.value), _number(one.threshold), one.note or "")
        for name, one in case.figures.items()
    ]
    return join(tag("h3", "Distances"), table(columns, rows))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _fingerprint(case: CheckedCase) -> Html | None:
    """Return the keys that differ from the golden's, then all keys if they are known."""
    columns = [Heading(name) for name in ("key", "golden", "here")]
    differs = [(d.key, d.golden, d.here) for d in case.fingerprint_difference]
    both = case.fingerprints
    golden, here = both.get("golden", {}), both.get("here", {})
    rows = [_pair(key, golden.get(key, ""), here.get(key, "")) for key in {**golden, **here}]
    whole = tag("details", tag("summary", "All keys"), table(columns, rows))
    return join(
        tag("h3", "Fingerprint"),
        table(columns, [_pair(*row) for row in differs])
        if differs
        else tag("p", "The environment is the same as the golden's.", class_="soft"),
        whole if rows else None,
    )


def _pair(key: str, golden: object, here: object) -> tuple[object, ...]:
    kind = "mono" if golden == here else "mono differs"
    return key, cell(golden, class_="mono"), cell(here, class_=kind)
