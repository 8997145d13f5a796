"""Tables that fit the terminal, however narrow it is.

Owns how a table that is too wide is made narrower: first its intervals move to a second line,
then its columns are printed in parts, one below the other, with the first column repeated.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

# Least room for text that wraps, in characters.
_LEAST_TEXT = 24
# The space before an interval: (0.1 to 0.2) or [0.1, 0.2].
_INTERVAL = re.compile(r" (?=\([-+]?[\d.]+\S* to |\[[-+]?\d)")
Rows = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Head:
    """Heading of one column."""

    title: str
    """Heading."""
    is_number: bool = False
    """``True``: aligned to the right."""
    wraps: bool = False
    """``True``: sentences, which are wrapped to the room that is left."""


def number_heads(*titles: str) -> tuple[Head, ...]:
    """Return headings of numbers."""
    return tuple(Head(title, is_number=True) for title in titles)


def print_table(
    console: Console,
    heads: Sequence[Head],
    rows: Rows,
    *,
    num_keys: int = 1,
    is_boxed: bool = False,
    has_heads: bool = True,
) -> None:
    """Print a table within the console's width.

    ``rows``: cells with rich's markup; an interval follows its value in parentheses or brackets.
    ``num_keys``: number of first columns that name the row, repeated in every part.
    ``has_heads``: whether the headings are shown.
    """
    sizes = _sizes(console.width, heads, rows, num_keys)
    parts = _parts(console.width, sizes, num_keys=num_keys, is_boxed=is_boxed)
    if len(parts) > 1:
        rows = [[_stacked(cell) for cell in row] for row in rows]
        sizes = _sizes(console.width, heads, rows, num_keys)
        parts = _parts(console.width, sizes, num_keys=num_keys, is_boxed=is_boxed)
    widest_key = max(_LEAST_TEXT, console.width // 2)
    for number, part in enumerate(parts):
        table = Table(
            box=box.HEAVY_HEAD if is_boxed else None,
            pad_edge=is_boxed,
            header_style="bold",
            show_header=has_heads,
        )
        for column in part:
            head, is_key = heads[column], column < num_keys
            table.add_column(
                head.title,
                justify="right" if head.is_number else "left",
                no_wrap=not head.wraps and not is_key,
                min_width=sizes[column] if is_key else None,
                max_width=widest_key if is_key else None,
                overflow="fold",
            )
        for row in rows:
            table.add_row(*(row[column] for column in part))
        if number:
            console.print()
        console.print(table)


def _sizes(width: int, heads: Sequence[Head], rows: Rows, num_keys: int) -> list[int]:
    """Return the characters that each column needs."""
    return [
        _size(head, [row[column] for row in rows], width // 2 if column < num_keys else width)
        for column, head in enumerate(heads)
    ]


def _parts(width: int, sizes: Sequence[int], *, num_keys: int, is_boxed: bool) -> list[list[int]]:
    """Return the columns of each part, as few parts as fit."""
    gap, edge = (3, 4) if is_boxed else (2, 0)
    keys = list(range(num_keys))
    start = edge + sum(sizes[key] for key in keys) + gap * (num_keys - 1)
    parts, used = [list(keys)], start
    for column in range(num_keys, len(sizes)):
        needed = gap + sizes[column]
        if used + needed > width and len(parts[-1]) > num_keys:
            parts.append(list(keys))
            used = start
        parts[-1].append(column)
        used += needed
    return parts


def _size(head: Head, cells: Sequence[str], limit: int) -> int:
    """Return the characters that a column needs."""
    texts = [head.title, *(Text.from_markup(cell).plain for cell in cells)]
    natural = max(Text(line).cell_len for text in texts for line in text.split("\n"))
    return min(natural, _LEAST_TEXT if head.wraps else max(_LEAST_TEXT, limit))


def _stacked(cell: str) -> str:
    """Return a value with its interval on the next line."""
    return _INTERVAL.sub("\n", cell, count=1)
