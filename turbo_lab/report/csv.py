"""Tables of a sweep as CSV: one row per cell, and one row per image.

Values are written in full precision, with their unit and interval in separate columns.
An empty field is a value that there is none of. A text that a spreadsheet would run as a formula,
such as a prompt that begins with ``=``, has an apostrophe in front.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

from turbo_lab.documents.sweep import Axes, CellResult, ImageFile, MetricValue

Row = Mapping[str, object]
_IDS = ("pixel_sha256", "cell_id", "record_id")
# https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def cells_csv(cells: Sequence[CellResult], folders: Mapping[str, str] | None = None) -> str:
    """Return one row per point of the grid: axes, status, metrics, latency and memory.

    ``folders``: where the images of a record are, by its id; ``None``: the column is left out.
    Points that are the same cell have a row each.
    """
    return _table(cell_rows(cells, folders))


def cell_rows(cells: Sequence[CellResult], folders: Mapping[str, str] | None = None) -> list[Row]:
    """Return the rows of :func:`cells_csv` with their values."""
    return [_cell_row(cell, axes, folders) for cell in cells for axes in (cell.axes, *cell.aliases)]


def column_names(rows: Sequence[Row]) -> list[str]:
    """Return the names of all columns; a row may lack some, and ids come last all the same."""
    names = dict.fromkeys(name for row in rows for name in row if name not in _IDS)
    return [*names, *(name for name in _IDS if any(name in row for row in rows))]


def images_csv(images: Iterable[tuple[str, CellResult, ImageFile]]) -> str:
    """Return one row per image; given with the name of its file and its cell."""
    return _table(
        {
            **cell.axes,
            "file": name,
            "prompt": image.prompt,
            "seed": image.seed,
            "pixel_sha256": image.pixel_sha256,
            "cell_id": cell.cell_id,
        }
        for name, cell, image in images
    )


def _cell_row(cell: CellResult, axes: Axes, folders: Mapping[str, str] | None) -> Row:
    row: dict[str, object] = dict(axes)
    row |= {"status": cell.status.value, "error": cell.error, "images": len(cell.images)}
    if folders is not None:
        row["folder"] = folders.get(cell.record_id)
    for name, metric in cell.metrics.items():
        row |= _metric_columns(name, metric)
    if cell.latency_s is not None:
        low, high = cell.latency_s.ci95 or (None, None)
        row |= {
            "latency_p50_s": cell.latency_s.p50,
            "latency_ci95_low_s": low,
            "latency_ci95_high_s": high,
        }
    row["throughput_images_per_s"] = cell.throughput_images_per_s
    if cell.timing is not None:
        row["peak_memory_bytes"] = cell.timing.peak_memory_bytes
    return row | {"cell_id": cell.cell_id, "record_id": cell.record_id}


def _metric_columns(name: str, metric: MetricValue) -> Row:
    low, high = metric.ci95 or (None, None)
    return {
        name: metric.value,
        f"{name} ci95 low": low,
        f"{name} ci95 high": high,
        f"{name} n": metric.n,
        f"{name} unit": metric.unit,
    }


def _table(rows: Iterable[Row]) -> str:
    """Return rows as CSV; a column that a row lacks is empty there."""
    listed = list(rows)
    buffer = io.StringIO()
    names = column_names(listed)
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([_field(name) for name in names])
    writer.writerows([_field(row.get(name, "")) for name in names] for row in listed)
    return buffer.getvalue()


def _field(value: object) -> object:
    """Return a value as a field that no spreadsheet runs as a formula.

    A text that begins like one gets an apostrophe in front; a number stays a number.
    """
    if not isinstance(value, str) or not value.startswith(_FORMULA_STARTS):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value
