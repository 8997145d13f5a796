"""Images of a sweep's page: by cell, by prompt, and each of them large."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from turbo_lab.documents.sweep import CellResult, ImageFile
from turbo_lab.report.columns import CellDetails, Column, label
from turbo_lab.report.html.page import Html, cell, image, join, table, tag
from turbo_lab.report.html.pictures import Picture
from turbo_lab.verdict import Direction

_TINY = 256  # pixels: smaller images are enlarged without smoothing
_EDGE = 112  # CSS pixels of a thumbnail, to begin with
Cells = Sequence[CellResult]


def gallery(
    cells: Cells,
    axes: Sequence[str],
    pictures: Mapping[str, Picture],
    details: Mapping[str, CellDetails],
    column: Column | None,
) -> Html:
    """A contact sheet, its controls and the dialog that shows one image large.

    ``column``: the metric shown next to each image, if it has a value per image.
    """
    groups = []
    for index, row in enumerate(cells):
        shown = [(i, e) for i, e in enumerate(row.images) if str(e.path) in pictures]
        values = _values(details.get(row.record_id), column)
        name = label(row, axes)
        thumbs = [
            _thumb(index, place, name, entry, pictures[str(entry.path)], values, column)
            for place, entry in shown
        ]
        groups.append(_group(index, row, name, thumbs, column))
    return join([
        _controls(),
        tag("div", *groups, id="gallery", data_view="cell", style=f"--edge:{_EDGE}px"),
        _dialog(),
    ])  # fmt: skip


def prompt_table(
    cells: Cells, axes: Sequence[str], details: Mapping[str, CellDetails], column: Column
) -> Html | None:
    """Each prompt's mean over cells, with its worst and best cell."""
    found: dict[str, list[tuple[float, int]]] = {}
    for index, row in enumerate(cells):
        values = _values(details.get(row.record_id), column)
        by_prompt: dict[str, list[float]] = {}
        for entry, value in zip(row.images, values or (), strict=False):
            by_prompt.setdefault(entry.prompt, []).append(value)
        for prompt, own in by_prompt.items():
            found.setdefault(prompt, []).append((float(np.mean(own)), index))
    if not found:
        return None
    sign = -1 if column.direction == Direction.LOWER else 1
    rows = []
    for prompt, means in found.items():
        worst, best = (pick(means, key=lambda item: sign * item[0]) for pick in (min, max))
        mean = float(np.mean([value for value, _ in means]))
        rows.append((prompt, f"{mean:.3f}", *_extreme(cells, axes, worst),
                     *_extreme(cells, axes, best), f"{abs(best[0] - worst[0]):.3f}"))  # fmt: skip
    rows.sort(key=lambda row: sign * float(str(row[1])))
    heads = [("prompt", False), (f"mean {column.name}", True), ("worst", True), ("in", False),
             ("best", True), ("in", False), ("range", True)]  # fmt: skip
    return table(heads, rows, class_="prompts cards")


def _extreme(cells: Cells, axes: Sequence[str], found: tuple[float, int]) -> tuple[str, Html]:
    value, index = found
    return f"{value:.3f}", cell(label(cells[index], axes), class_="soft")


def _values(found: CellDetails | None, column: Column | None) -> Sequence[float] | None:
    return None if found is None or column is None else found.per_image.get(column.name)


def _thumb(
    index: int,
    place: int,
    name: str,
    entry: ImageFile,
    picture: Picture,
    values: Sequence[float] | None,
    column: Column | None,
) -> Html:
    score = None if values is None else f"{values[place]:.2f}"
    parts = [
        name,
        f"seed {entry.seed}",
        f"{picture.width} \N{MULTIPLICATION SIGN} {picture.height}",
    ]
    if score is not None and column is not None:
        parts.append(f"{column.name} {values[place]:.3f}" if values else "")
    tiny = max(picture.width, picture.height) <= _TINY
    return tag(
        "button",
        image(picture.content, entry.prompt, picture.mime, class_="tiny" if tiny else None,
              width=picture.width, height=picture.height),
        tag("span", tag("span", entry.prompt, class_="by-cell"),
            tag("span", name, class_="by-prompt"), class_="caption"),
        tag("span", score, class_="score") if score else None,
        type="button", class_="thumb", title=entry.prompt, data_cell=index, data_row=place,
        data_prompt=entry.prompt, data_seed=entry.seed, data_about=" · ".join(parts),
        data_hash=entry.pixel_sha256,
    )  # fmt: skip


def _group(
    index: int, row: CellResult, name: str, thumbs: Sequence[Html], column: Column | None
) -> Html:
    value = None if column is None else column.values[index]
    figure = None
    if column is not None and value is not None:
        figure = tag("span", f" {column.name} {value:.{column.decimals}f}", class_="soft")
    hidden = len(row.images) - len(thumbs)
    more = tag("span", f" {len(thumbs)} of {len(row.images)} images", class_="soft")
    failed = tag("p", row.error, class_="error") if row.error else None
    return tag(
        "div",
        tag("h3", name, figure, more if hidden else None),
        failed,
        tag("div", *thumbs, class_="thumbs"),
        class_="group",
        data_cell=index,
    )


def _controls() -> Html:
    views = [
        tag("label", tag("input", type="radio", name="view", value=value, checked=value == "cell"),
            tag("span", text))
        for value, text in (("cell", "by cell"), ("prompt", "by prompt"))
    ]  # fmt: skip
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
        tag("div", tag("img", alt=""), class_="stage"),
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
