"""Contact sheet of a sweep: cells by axes with labels, like the X/Y/Z plot of AUTOMATIC1111.

Two axes become columns and rows, and every tile shows the same few prompts. With one axis, the
rows are prompts. Further axes become part of the row labels. Axes that vary together are one. A
cell that failed is a hatched tile with the first words of its error; a point that is left out of
the grid is an empty one. A source image is next to each image that begins from it, at half its
size.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from turbo_lab.documents.sweep import Axes, CellResult, ImageFile, SweepResult, fixed_settings
from turbo_lab.report.columns import short_axis
from turbo_lab.report.source_images import SourceImage, source_images
from turbo_lab.store.store import read_image

_MAX_SIDE = 12_000
_GUTTER, _MARGIN, _LABEL_HEIGHT = 10, 24, 30
_INK, _FAINT, _PAPER, _RULE = "#1c1c1e", "#6e6e73", "#ffffff", "#e5e5ea"
_FONT_SIZE, _LINE = 17, 22
_HEAD_LINES = 3
# Small images are enlarged by whole factors up to about this edge, in pixels.
_TILE_EDGE = 128
_IMAGES_PER_TILE = 4
# Most prompts or seeds along one axis.
_IMAGE_ROWS = 8
_CAPTION, _CAPTION_SIZE = 18, 12
# Between a source image and the images next to it.
_INSET_GAP = 4
_TITLE_KEYS = ("model", "prompts", "lora", "resolution", "seed")


@dataclass(frozen=True)
class _SheetCell:
    """One cell of the sheet: one point of the grid."""

    axes: Axes
    """Values of the keys that vary, in the order of the command line."""
    images: tuple[ImageFile, ...]
    """Its images; empty if the cell failed."""
    error: str | None
    """Reason why there are no images. ``None``: the cell did not fail."""


@dataclass(frozen=True)
class _Tile:
    """Images that share one place of the sheet."""

    images: tuple[ImageFile, ...] = ()
    """Images, in order; as many as fit are shown."""
    error: str | None = None
    """Reason why a cell that belongs here has no images."""


@dataclass(frozen=True)
class _Slot:
    """Look of one image within a tile."""

    edge: int
    """Edge of the image, in pixels."""
    captions: Sequence[str]
    """Words below it: ``seed``, ``prompt`` or both; empty: no caption."""
    sources: Mapping[str, SourceImage]
    """Source images by digest; empty: the images begin from noise."""

    @property
    def inset(self) -> int:
        """Width of the column of source images, in pixels; 0 without them."""
        return self.edge // 2 + _INSET_GAP if self.sources else 0

    @property
    def width(self) -> int:
        """Width of the image with its source image and the gap to the next one, in pixels."""
        return self.inset + self.edge + (_INSET_GAP if self.sources else 0)

    @property
    def height(self) -> int:
        """Height of the image with its caption, in pixels."""
        return self.edge + (_CAPTION if self.captions else 0)


# Keys that vary together, as one axis of the sheet; or one of the coordinates of an image.
_Axis = tuple[str, ...]
_PROMPT: _Axis = ("prompt",)
_SEED: _Axis = ("seed",)


def draw_sheet(sweep: SweepResult, across: str | None = None, down: str | None = None) -> bytes:
    """Return the contact sheet of a sweep, as PNG.

    ``across`` and ``down``: the axis of the columns and that of the rows, a swept key,
    ``prompt`` or ``seed``; ``None``: chosen by the number of values. Axes that are left over
    become part of the row labels.
    """
    # A cell that several points of the grid share is shown at each of these points.
    cells = [
        _SheetCell(axes, cell.images, cell.error)
        for cell in sweep.cells
        for axes in (cell.axes, *cell.aliases)
    ]
    columns, rows = _layout(cells, across, down)
    places = _places(cells, columns, rows)
    heads = list(dict.fromkeys(column for column, _ in places))
    labels = list(dict.fromkeys(row for _, row in places))
    captions = _captions(cells, {*columns, *(key for axis in rows for key in axis)})
    slot = _Slot(_edge(cells), captions, source_images(sweep.cells))
    side = 1 if all(len(tile.images) < _IMAGES_PER_TILE for tile in places.values()) else 2
    while side > 1 and (side * slot.width + _GUTTER) * max(len(heads), len(labels)) > _MAX_SIDE:
        side -= 1
    drawn = [[_mosaic(places.get((head, label)), side, slot) for head in heads] for label in labels]
    return _compose(drawn, [head or "one cell" for head in heads], labels, _title(sweep.cells))


def _title(cells: Sequence[CellResult]) -> str:
    """Return the settings that all cells share, as far as a title has room for them."""
    fixed = fixed_settings(cells)
    varied = {name for cell in cells for axes in (cell.axes, *cell.aliases) for name in axes}
    if fixed.get("prompts") == "prompt":  # the set of a single prompt; its text says more
        texts = {one.prompt for cell in cells for one in cell.images}
        fixed = {**fixed, "prompts": f"“{texts.pop()}”" if len(texts) == 1 else "none"}
    shown = [name for name in _TITLE_KEYS if name in fixed and name not in varied]
    return " · ".join(f"{name} {fixed[name]}" for name in shown if fixed[name] != "none")


def _layout(
    cells: Sequence[_SheetCell], across: str | None, down: str | None
) -> tuple[_Axis, tuple[_Axis, ...]]:
    """Return the axis of the columns, and the axes of the rows."""
    axes = _axes(cells)
    by_key = {key: axis for axis in axes for key in axis}
    own = [by_key.get(name, (name,)) for name in (across, down) if name is not None]
    left = [axis for axis in axes if axis not in own]
    column = None if across is None else own[0]
    if column is None:
        # Of the last two axes the longer one, so that a sheet is wider than high.
        column = max(left[-2:], key=lambda axis: len(_values(cells, axis)), default=_ONE_CELL)
        left = [axis for axis in left if axis != column]
    rows = [*([] if down is None else own[-1:]), *left]
    several = len({one.prompt for cell in cells for one in cell.images}) > 1
    return column, tuple(rows or [_PROMPT if several and column != _PROMPT else _SEED])


_ONE_CELL: _Axis = ()


def _axes(cells: Sequence[_SheetCell]) -> list[_Axis]:
    """Return the keys that vary; keys of which one value tells the other are one axis."""
    names = list(dict.fromkeys(name for cell in cells for name in cell.axes))
    varied = [name for name in names if len(_values(cells, (name,))) > 1]
    axes: list[_Axis] = []
    for name in varied:
        for position, axis in enumerate(axes):
            together = len(_values(cells, (*axis, name)))
            if together == len(_values(cells, axis)) == len(_values(cells, (name,))):
                axes[position] = (*axis, name)
                break
        else:
            axes.append((name,))
    return axes


def _values(cells: Sequence[_SheetCell], axis: _Axis) -> set[tuple[str, ...]]:
    return {tuple(str(cell.axes.get(name)) for name in axis) for cell in cells}


def _places(
    cells: Sequence[_SheetCell], columns: _Axis, rows: Sequence[_Axis]
) -> dict[tuple[str, str], _Tile]:
    """Return the tiles by the labels of their column and row, in the order of both."""
    shown: dict[_Axis, list[str]] = {
        axis: list(dict.fromkeys(_image_label(one, axis) for cell in cells for one in cell.images))[
            :_IMAGE_ROWS
        ]
        for axis in (columns, *rows)
        if _is_of_images(axis, cells)
    }
    tiles: dict[tuple[str, str], _Tile] = {}
    for cell in cells:
        for one in cell.images or (None,):
            labels = [_labels(cell, one, axis, shown) for axis in (columns, *rows)]
            for column, *row in itertools.product(*labels):
                place = (column, " · ".join(row))
                before = tiles.get(place, _Tile())
                images = before.images if one is None else (*before.images, one)
                tiles[place] = _Tile(images, before.error or cell.error)
    order = [list(dict.fromkeys(place[k] for place in tiles)) for k in range(2)]
    in_order = sorted(tiles, key=lambda place: [order[k].index(place[k]) for k in range(2)])
    return {place: tiles[place] for place in in_order}


def _is_of_images(axis: _Axis, cells: Sequence[_SheetCell]) -> bool:
    """Return whether an axis is a coordinate of an image and not a swept key."""
    return axis in (_PROMPT, _SEED) and not any(axis[0] in cell.axes for cell in cells)


def _labels(
    cell: _SheetCell, image: ImageFile | None, axis: _Axis, shown: Mapping[_Axis, list[str]]
) -> list[str]:
    """Return where a cell's image goes along an axis: one label, none, or all if it failed."""
    if axis not in shown:
        return [" · ".join(f"{short_axis(name)} {cell.axes[name]}" for name in axis)]
    if image is None:
        return shown[axis] or [""]
    label = _image_label(image, axis)
    return [label] if label in shown[axis] else []


def _image_label(image: ImageFile, axis: _Axis) -> str:
    return image.prompt if axis == _PROMPT else f"seed {image.seed}"


def _captions(cells: Sequence[_SheetCell], labelled: Collection[str]) -> tuple[str, ...]:
    """Return what the labels do not say of an image: its seed, its prompt, both or nothing."""
    several = {
        "seed": len({one.seed for cell in cells for one in cell.images}) > 1,
        "prompt": len({one.prompt for cell in cells for one in cell.images}) > 1,
    }
    return tuple(name for name, is_shown in several.items() if is_shown and name not in labelled)


def _edge(cells: Sequence[_SheetCell]) -> int:
    for cell in cells:
        for stored in cell.images[:1]:
            height, width = read_image(stored.path, stored.pixel_sha256).shape[:2]
            longest: int = max(height, width)
            return longest * max(1, _TILE_EDGE // longest)
    return _TILE_EDGE


def _mosaic(tile: _Tile | None, side: int, slot: _Slot) -> Image.Image:
    """Return the first ``side`` x ``side`` images of a tile, each above its caption."""
    width, height = side * slot.width, side * slot.height
    if tile is None:  # a point that is not part of the grid
        return Image.new("RGB", (width, height), _PAPER)
    if not tile.images:
        return _failed(width, height, tile.error)
    mosaic = Image.new("RGB", (width, height), _PAPER)
    for index, stored in enumerate(tile.images[: side * side]):
        x, y = index % side * slot.width, index // side * slot.height
        _draw_image(mosaic, stored, x, y, slot)
    return mosaic


def _draw_image(mosaic: Image.Image, stored: ImageFile, x: int, y: int, slot: _Slot) -> None:
    """Draw an image, its caption and its source image, with the corner of the slot at x, y."""
    draw, edge = ImageDraw.Draw(mosaic), slot.edge
    pixels = read_image(stored.path, stored.pixel_sha256)
    mosaic.paste(_fit(pixels, edge), (x + slot.inset, y))
    words = {"seed": str(stored.seed), "prompt": stored.prompt}
    text = " · ".join(words[name] for name in slot.captions)
    cut = _cut(text, edge - 8, _CAPTION_SIZE)
    draw.text((x + slot.inset + 4, y + edge + 1), cut, fill=_FAINT, font=_font(_CAPTION_SIZE))
    if (source := slot.sources.get(stored.source or "")) is not None:
        mosaic.paste(_fit(source.pixels, edge // 2), (x, y))
        cut = _cut(source.name, edge // 2 - 4, _CAPTION_SIZE)
        draw.text((x + 2, y + edge // 2 + 1), cut, fill=_FAINT, font=_font(_CAPTION_SIZE))


def _fit(pixels: np.ndarray, edge: int) -> Image.Image:
    """Return an image centred on a square, enlarged by a whole factor to keep its pixels sharp."""
    picture = Image.fromarray(pixels)
    longest = max(picture.size)
    if longest <= edge:
        factor = edge // longest
        size = (picture.width * factor, picture.height * factor)
        picture = picture.resize(size, Image.Resampling.NEAREST)
    else:
        picture.thumbnail((edge, edge), Image.Resampling.LANCZOS)
    square = Image.new("RGB", (edge, edge), _RULE)
    square.paste(picture, ((edge - picture.width) // 2, (edge - picture.height) // 2))
    return square


def _failed(width: int, height: int, error: str | None) -> Image.Image:
    """Return a hatched tile with the reason."""
    tile = Image.new("RGB", (width, height), "#fff1f0")
    draw = ImageDraw.Draw(tile)
    for start in range(-height, width, 16):
        draw.line([(start, height), (start + height, 0)], fill="#f5c6c3", width=2)
    text = "failed" if error else "not run"
    draw.text((10, 8), text, fill="#b3261e", font=_font(_FONT_SIZE))
    for index, line in enumerate(_wrap(error or "", width - 20)[:4]):
        draw.text((10, 34 + 20 * index), line, fill="#b3261e", font=_font(14))
    return tile


def _compose(
    tiles: list[list[Image.Image]], heads: Sequence[str], rows: Sequence[str], title: str
) -> bytes:
    width, height = tiles[0][0].size
    font = _font(_FONT_SIZE)
    label_width = min(360, 24 + max(int(font.getlength(row)) for row in rows))
    head_lines = [_wrap(head, width)[:_HEAD_LINES] for head in heads]
    head_height = _LINE * max(len(lines) for lines in head_lines) + 8
    left, top = _MARGIN + label_width, _MARGIN + _LABEL_HEIGHT + head_height
    size = (
        left + len(heads) * (width + _GUTTER) + _MARGIN,
        top + len(rows) * (height + _GUTTER) + _MARGIN,
    )
    sheet = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((_MARGIN, _MARGIN - 8), _cut(title, size[0] - 2 * _MARGIN), fill=_FAINT, font=font)
    for column, lines in enumerate(head_lines):
        x = left + column * (width + _GUTTER)
        for index, line in enumerate(lines):
            centre = x + (width - font.getlength(line)) / 2
            y = top - 8 - _LINE * (len(lines) - index)
            draw.text((centre, y), line, fill=_INK, font=font)
    for row, label in enumerate(rows):
        y = top + row * (height + _GUTTER)
        lines = _wrap(label, label_width - 16)[:5]
        for index, line in enumerate(lines):
            offset = (height - _LINE * len(lines)) / 2 + _LINE * index
            draw.text((_MARGIN, y + offset), line, fill=_INK, font=font)
        for column, tile in enumerate(tiles[row]):
            sheet.paste(tile, (left + column * (width + _GUTTER), y))
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()


def _wrap(text: str, width: int) -> list[str]:
    """Return lines that fit into a width, in pixels; a word that is too long is cut."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and _font(_FONT_SIZE).getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(_cut(word, width))
    return lines


def _cut(text: str, width: float, size: int = _FONT_SIZE) -> str:
    font = _font(size)
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return the FreeType font that Pillow ships."""
    return ImageFont.load_default(size)
