"""Images of a sweep's page: by cell, by prompt, and one of them large."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from turbo_lab.documents.sweep import CellResult, ImageFile
from turbo_lab.report.columns import CellDetails, Column, label
from turbo_lab.report.html.page import Heading, Html, cell, data_uri, image, join, table, tag
from turbo_lab.report.html.pictures import Picture
from turbo_lab.verdict import Direction

_TINY = 256  # pixels: smaller images are enlarged without smoothing
_EDGE = 112  # initial size of a thumbnail, in CSS pixels
Cells = Sequence[CellResult]


@dataclass(frozen=True)
class Scores:
    """Values per image of the metric that is shown next to the images."""

    details: Mapping[str, CellDetails]
    """Details of the cells, by record id."""
    column: Column | None
    """Column of the metric. ``None``: no metric has values per image."""

    def of(self, row: CellResult) -> Sequence[float] | None:
        """Return the values of a cell's images; ``None`` if there are none."""
        found = self.details.get(row.record_id)
        return None if found is None or self.column is None else found.per_image.get(self.name)

    @property
    def name(self) -> str:
        """Name of the metric; empty if there is none."""
        return "" if self.column is None else self.column.name


def gallery(
    cells: Cells,
    axes: Sequence[str],
    pictures: Mapping[str, Picture],
    scores: Scores,
    sources: Mapping[str, Picture] | None = None,
) -> Html:
    """Return the images by cell, their controls, and the dialog that shows one image large.

    ``sources``: source images by digest; each image that began from one shows it in its corner.
    """
    classes = {digest: f"source-{index}" for index, digest in enumerate(sources or {})}
    groups = []
    for index, row in enumerate(cells):
        shown = [(i, e) for i, e in enumerate(row.images) if str(e.path) in pictures]
        values, name = scores.of(row), label(row, axes)
        thumbs = []
        for place, entry in shown:
            score = None if values is None else (scores.name, values[place])
            begun = _source_name(row, entry)
            about = _about(name, entry, pictures[str(entry.path)], score, begun)
            attributes = {"data_cell": index, "data_row": place, "data_about": about}
            if entry.source in classes:
                attributes["data_source"] = classes[entry.source]
            thumbs.append(_thumb(name, entry, pictures[str(entry.path)], score, **attributes))
        groups.append(_group(index, row, name, thumbs=thumbs, column=scores.column))
    sheet = tag("div", *groups, id="gallery", data_view="cell", style=f"--edge:{_EDGE}px")
    return join(_source_style(sources or {}, classes), _controls(), sheet, _dialog())


def _source_style(sources: Mapping[str, Picture], classes: Mapping[str, str]) -> Html | None:
    """Return a style rule per source image, so that the page holds each of them once."""
    rules = [
        f".{classes[digest]} {{ background-image: url({data_uri(one.content, one.mime)}); "
        f"aspect-ratio: {one.width} / {one.height}; }}"
        for digest, one in sources.items()
    ]
    return tag("style", Html("\n".join(rules))) if rules else None


def _source_name(row: CellResult, entry: ImageFile) -> str | None:
    """Return the name of an image's source image; ``None``: it has none."""
    if entry.source is None:
        return None
    known = (row.provenance.sources or {}).get(entry.source)
    return entry.source[:12] if known is None else known.name


def prompt_table(cells: Cells, axes: Sequence[str], scores: Scores) -> Html | None:
    """Return each prompt's mean over the cells, with its worst and its best cell."""
    found = _means_by_prompt(cells, scores)
    if not found:
        return None
    is_lower = scores.column is not None and scores.column.direction == Direction.LOWER
    sign = -1 if is_lower else 1
    rows: list[tuple[float, tuple[object, ...]]] = []
    for prompt, means in found.items():
        worst, best = (pick(means, key=lambda item: sign * item[0]) for pick in (min, max))
        mean = float(np.mean([value for value, _ in means]))
        extremes = (*_extreme(cells, axes, worst), *_extreme(cells, axes, best))
        spread = f"{abs(best[0] - worst[0]):.3f}"
        rows.append((sign * mean, (prompt, f"{mean:.3f}", *extremes, spread)))
    rows.sort(key=lambda row: row[0])
    numbers = ("worst", "best", "range", f"mean {scores.name}")
    names = ("prompt", f"mean {scores.name}", "worst", "in", "best", "in", "range")
    heads = [Heading(name, is_number=name in numbers) for name in names]
    return table(heads, [row for _, row in rows], class_="prompts cards")


def _means_by_prompt(cells: Cells, scores: Scores) -> dict[str, list[tuple[float, int]]]:
    """Return, by prompt, the mean value of each cell with the cell's index."""
    found: dict[str, list[tuple[float, int]]] = {}
    for index, row in enumerate(cells):
        by_prompt: dict[str, list[float]] = {}
        for entry, value in zip(row.images, scores.of(row) or (), strict=False):
            by_prompt.setdefault(entry.prompt, []).append(value)
        for prompt, values in by_prompt.items():
            found.setdefault(prompt, []).append((float(np.mean(values)), index))
    return found


def _extreme(cells: Cells, axes: Sequence[str], found: tuple[float, int]) -> tuple[str, Html]:
    value, index = found
    return f"{value:.3f}", cell(label(cells[index], axes), class_="soft")


def _about(
    name: str,
    entry: ImageFile,
    picture: Picture,
    score: tuple[str, float] | None,
    source: str | None,
) -> str:
    """Return the line below a large image: cell, seed, size, metric, source image, flag."""
    size = f"{picture.width} \N{MULTIPLICATION SIGN} {picture.height}"
    parts = [name, f"seed {entry.seed}", size]
    if score is not None:
        parts.append(f"{score[0]} {score[1]:.3f}")
    if source is not None:
        parts.append(f"from {source}")
    if entry.flagged is not None:
        parts.append("flagged by the safety checker" if entry.flagged else "not flagged")
    return " · ".join(parts)


def _thumb(
    name: str,
    entry: ImageFile,
    picture: Picture,
    score: tuple[str, float] | None,
    **attributes: object,
) -> Html:
    is_tiny = max(picture.width, picture.height) <= _TINY
    shown = image(
        picture.content,
        entry.prompt,
        picture.mime,
        class_="tiny" if is_tiny else None,
        width=picture.width,
        height=picture.height,
    )
    source = attributes.get("data_source")
    captions = (tag("span", entry.prompt, class_="by-cell"), tag("span", name, class_="by-prompt"))
    return tag(
        "button",
        shown,
        None if source is None else tag("span", class_=f"source {source}"),
        tag("span", "flagged", class_="badge") if entry.flagged else None,
        tag("span", *captions, class_="caption"),
        None if score is None else tag("span", f"{score[1]:.2f}", class_="score"),
        type="button",
        class_="thumb",
        title=entry.prompt,
        data_prompt=entry.prompt,
        data_seed=entry.seed,
        data_hash=entry.pixel_sha256,
        **attributes,
    )


def _group(
    index: int, row: CellResult, name: str, thumbs: Sequence[Html], column: Column | None
) -> Html:
    value = None if column is None else column.values[index]
    score = None
    if column is not None and value is not None:
        score = tag("span", f" {column.name} {value:.{column.decimals}f}", class_="soft")
    hidden = len(row.images) - len(thumbs)
    more = tag("span", f" {len(thumbs)} of {len(row.images)} images", class_="soft")
    failed = tag("p", row.error, class_="error") if row.error else None
    return tag(
        "div",
        tag("h3", name, score, more if hidden else None),
        failed,
        tag("div", *thumbs, class_="thumbs"),
        class_="group",
        data_cell=index,
    )


def _controls() -> Html:
    views = []
    for value in ("cell", "prompt"):
        button = tag("input", type="radio", name="view", value=value, checked=value == "cell")
        views.append(tag("label", button, tag("span", f"by {value}")))
    return tag(
        "div",
        tag("div", *views, class_="choice", role="radiogroup", aria_label="arrange images"),
        tag("label", "size ", tag("input", type="range", id="edge", min=64, max=320, value=_EDGE)),
        class_="controls",
    )


def _dialog() -> Html:
    def move(key: str, text: str, words: str) -> Html:
        return tag("button", text, type="button", data_move=key, aria_label=words, title=words)

    return tag(
        "dialog",
        tag("div", tag("img", alt=""), tag("span", hidden=True), class_="stage"),
        tag("p", class_="prompt"),
        tag("p", class_="about soft"),
        tag("p", class_="hash soft"),
        tag(
            "div",
            move("ArrowLeft", "←", "previous image"),
            move("ArrowRight", "→", "next image"),
            move("ArrowUp", "↑", "same prompt, previous cell"),
            move("ArrowDown", "↓", "same prompt, next cell"),
            tag("button", "close", type="button", class_="close", aria_label="close (Escape)"),
            class_="moves",
        ),
        aria_label="one image",
    )
