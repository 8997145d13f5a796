"""Contact sheet of a sweep: cells by axes with labels, like the X/Y/Z plot of AUTOMATIC1111.

Two axes become columns and rows, and every tile shows the same few prompts. With one axis, the
rows are prompts. Further axes become part of the row labels. A cell that failed is a hatched tile
with the first words of its error.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from turbo_lab.documents.sweep import Axes, CellResult, ImageFile, SweepResult, fixed_settings
from turbo_lab.report.columns import short_axis
from turbo_lab.store.store import read_image

_MAX_SIDE = 12_000
_GUTTER, _MARGIN, _LABEL_HEIGHT = 10, 24, 30
_INK, _FAINT, _PAPER, _RULE = "#1c1c1e", "#6e6e73", "#ffffff", "#e5e5ea"
_FONT_SIZE, _LINE = 17, 22
_HEAD_LINES = 3
# Small images are enlarged by whole factors up to about this edge, in pixels.
_TILE_EDGE = 128
_PROMPTS_PER_TILE = 4
_PROMPT_ROWS = 8
_TITLE_KEYS = ("model", "prompts", "lora", "resolution", "seed")


@dataclass(frozen=True)
class _SheetCell:
    """One cell of the sheet: one point of the grid."""

    axes: Axes
    """Values of the keys that vary, in the order of the command line."""
    images: tuple[ImageFile, ...]
    """One image per prompt; empty if the cell failed."""
    error: str | None
    """Reason why there are no images. ``None``: the cell did not fail."""


def draw_sheet(sweep: SweepResult) -> bytes:
    """Return the contact sheet of a sweep, as PNG."""
    # A cell that several points of the grid share is shown at each of these points.
    cells = [
        _SheetCell(axes, cell.images, cell.error)
        for cell in sweep.cells
        for axes in (cell.axes, *cell.aliases)
    ]
    title = _title(sweep.cells)
    axes = [name for name in _axes(cells) if len({str(c.axes.get(name)) for c in cells}) > 1]
    edge = _edge(cells)
    if len(axes) >= 2:
        return _grid(cells, axes, edge, title)
    return _by_prompt(cells, axes, edge, title)


def _title(cells: Sequence[CellResult]) -> str:
    """Return the settings that all cells share, as far as a title has room for them."""
    fixed = fixed_settings(cells)
    varied = {name for cell in cells for axes in (cell.axes, *cell.aliases) for name in axes}
    shown = [name for name in _TITLE_KEYS if name in fixed and name not in varied]
    return " · ".join(f"{name} {fixed[name]}" for name in shown if fixed[name] != "none")


def _axes(cells: Sequence[_SheetCell]) -> list[str]:
    return list(dict.fromkeys(name for cell in cells for name in cell.axes))


def _edge(cells: Sequence[_SheetCell]) -> int:
    for cell in cells:
        for stored in cell.images[:1]:
            height, width = read_image(stored.path, stored.pixel_sha256).shape[:2]
            longest: int = max(height, width)
            return longest * max(1, _TILE_EDGE // longest)
    return _TILE_EDGE


def _grid(cells: Sequence[_SheetCell], axes: Sequence[str], edge: int, title: str) -> bytes:
    """Return a sheet whose columns are the axis with the most values; the other axes are rows."""
    across = max(axes[-2:], key=lambda name: len({str(c.axes[name]) for c in cells}))
    down = [name for name in axes if name != across]
    columns = list(dict.fromkeys(str(c.axes[across]) for c in cells))
    rows = list(dict.fromkeys(_label(c.axes, down) for c in cells))
    place = {(_label(c.axes, down), str(c.axes[across])): c for c in cells}
    side = 1 if all(len(c.images) < _PROMPTS_PER_TILE for c in cells) else 2
    while side > 1 and (side * edge + _GUTTER) * max(len(columns), len(rows)) > _MAX_SIDE:
        side -= 1
    tiles = [[_mosaic(place.get((row, column)), side, edge) for column in columns] for row in rows]
    heads = [f"{short_axis(across)} {column}" for column in columns]
    return _compose(tiles, heads, rows, title)


def _by_prompt(cells: Sequence[_SheetCell], axes: Sequence[str], edge: int, title: str) -> bytes:
    """Return a sheet with one column per cell and one row per prompt."""
    prompts = next(([one.prompt for one in c.images] for c in cells if c.images), [])
    count = min(_PROMPT_ROWS, max((len(c.images) for c in cells), default=0)) or 1
    tiles = [[_single(cell, index, edge) for cell in cells] for index in range(count)]
    heads = [_label(cell.axes, axes) or "one cell" for cell in cells]
    shown = [prompts[i] if i < len(prompts) else "" for i in range(count)]
    return _compose(tiles, heads, shown, title)


def _label(axes: Axes, names: Sequence[str]) -> str:
    return " · ".join(f"{short_axis(name)} {axes[name]}" for name in names if name in axes)


def _mosaic(cell: _SheetCell | None, side: int, edge: int) -> Image.Image:
    """Return the first ``side`` x ``side`` images of a cell as one tile."""
    if cell is None or not cell.images:
        return _failed(side * edge, None if cell is None else cell.error)
    tile = Image.new("RGB", (side * edge, side * edge), _PAPER)
    for index, stored in enumerate(cell.images[: side * side]):
        x, y = index % side * edge, index // side * edge
        tile.paste(_fit(stored, edge), (x, y))
    return tile


def _single(cell: _SheetCell, index: int, edge: int) -> Image.Image:
    if index >= len(cell.images):
        return _failed(edge, cell.error)
    return _fit(cell.images[index], edge)


def _fit(stored: ImageFile, edge: int) -> Image.Image:
    """Return an image centred on a square, enlarged by a whole factor to keep its pixels sharp."""
    picture = Image.fromarray(read_image(stored.path, stored.pixel_sha256))
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


def _failed(edge: int, error: str | None) -> Image.Image:
    """Return a hatched tile with the reason."""
    tile = Image.new("RGB", (edge, edge), "#fff1f0")
    draw = ImageDraw.Draw(tile)
    for start in range(-edge, edge, 16):
        draw.line([(start, edge), (start + edge, 0)], fill="#f5c6c3", width=2)
    text = "failed" if error else "not run"
    draw.text((10, 8), text, fill="#b3261e", font=_font(_FONT_SIZE))
    for index, line in enumerate(_wrap(error or "", edge - 20)[:4]):
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


def _cut(text: str, width: float) -> str:
    font = _font(_FONT_SIZE)
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return the FreeType font that Pillow ships."""
    return ImageFont.load_default(size)
