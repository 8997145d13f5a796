"""The table of a sweep's cells as a Parquet file: the columns of the CSV file, with their types."""

from __future__ import annotations

import io
from collections.abc import Sequence

from turbo_lab.documents.sweep import CellResult
from turbo_lab.errors import MissingFilesError
from turbo_lab.report.csv import cell_rows, column_names


def cells_parquet(cells: Sequence[CellResult]) -> bytes:
    """Return one row per point of the grid. Raises :class:`MissingFilesError` without pyarrow."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise MissingFilesError(
            "--format parquet: needs pyarrow; run: pip install pyarrow, or use --format csv"
        ) from error
    rows = cell_rows(cells)
    columns = {name: _column([row.get(name) for row in rows]) for name in column_names(rows)}
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), buffer)
    return buffer.getvalue()


def _column(values: Sequence[object]) -> list[object]:
    """Return values of one type: numbers, truth values or text."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {int, float}:
        return [None if value is None else float(str(value)) for value in values]
    if len(kinds) <= 1 and kinds <= {int, float, bool, str}:
        return list(values)
    return [None if value is None else str(value) for value in values]
