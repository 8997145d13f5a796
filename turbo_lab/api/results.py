"""Results of the Python interface: frozen objects around the documents of the commands.

Owns how they look in a notebook. Their fields are those of the JSON documents.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from turbo_lab.api.frames import FrameKind, FrameRows, frame_of, interval
from turbo_lab.api.tables import checks_html, sweep_html
from turbo_lab.documents.compare import CompareReport, ContenderResult, EntrantResult
from turbo_lab.documents.gate import CheckResult, GateReport
from turbo_lab.documents.sweep import CellResult, ImageFile, SweepCounts, SweepResult
from turbo_lab.errors import StoreError, unknown_name
from turbo_lab.verdict import Verdict

if TYPE_CHECKING:
    import pandas
    from PIL import Image


@dataclass(frozen=True)
class Sweep:
    """A finished sweep."""

    document: SweepResult
    """The ``sweep`` document."""
    sheet_path: Path
    """PNG file of the contact sheet."""
    is_tracked: bool = True
    """``False`` if MLflow could not be reached; ``turbo-lab sync`` brings the sweep there later."""

    @property
    def sweep_id(self) -> str:
        """Id of the sweep: its cells and the environment."""
        return self.document.sweep_id

    @property
    def cells(self) -> tuple[CellResult, ...]:
        """The cells, in the order of the grid."""
        return self.document.cells

    @property
    def counts(self) -> SweepCounts:
        """Numbers of cells, by outcome."""
        return self.document.counts

    @property
    def sheet(self) -> Image.Image:
        """The contact sheet. Raises :class:`StoreError` if its file is gone."""
        return read_picture(self.sheet_path)

    def images(self, cell: CellResult | None = None) -> list[Image.Image]:
        """Return the images of one cell, or of all cells in order.

        ``info`` of each has its ``prompt`` and ``seed``, and the texts inside the PNG file:
        ``turbo-lab`` is the recipe as JSON, ``parameters`` is for people. Raises
        :class:`StoreError` if a file is not the one that was committed.
        """
        return read_images(self.cells if cell is None else [cell])

    def to_pandas(self, kind: FrameKind = "cells") -> pandas.DataFrame:
        """Return a data frame with one row per cell, image, timing or measurement.

        ``kind``: ``cells``, ``images``, ``timings`` or ``measurements``. The first columns are
        the axes.
        """
        return FrameRows.of(self.cells).to_pandas(kind)

    def __repr__(self) -> str:
        """Return the id and the numbers of cells."""
        return f"Sweep({self.sweep_id}: {_count(len(self.cells))}, {self.counts.outcomes})"

    def _repr_html_(self) -> str:
        """Return the table of the cells, for a notebook."""
        counts = f"{_count(len(self.cells))}, {self.counts.outcomes}"
        return sweep_html(f"sweep {self.sweep_id}: {counts}", self.cells)


@dataclass(frozen=True)
class Comparison:
    """A candidate against its baselines."""

    document: CompareReport
    """The ``compare`` document."""

    @property
    def verdict(self) -> Verdict:
        """Worst verdict of all rows."""
        return self.document.verdict

    @property
    def candidate(self) -> str:
        """Label of the candidate."""
        return self.document.candidate

    @property
    def rows(self) -> tuple[CheckResult, ...]:
        """One row per metric and baseline: the paired difference and its verdict."""
        return self.document.rows

    @property
    def contenders(self) -> tuple[ContenderResult, ...]:
        """The candidate, then the baselines."""
        return self.document.contenders

    @property
    def entrants(self) -> tuple[EntrantResult, ...]:
        """The reference and every other entrant, also those that failed."""
        return self.document.entrants

    def to_pandas(self, kind: Literal["rows", "entrants"] = "rows") -> pandas.DataFrame:
        """Return a data frame with one row per metric and baseline, or one row per entrant.

        Raises :class:`InputError` for another kind.
        """
        if kind == "rows":
            return _checks_frame(self.rows)
        if kind == "entrants":
            return frame_of(_entrant_row(one) for one in self.entrants)
        raise unknown_name("kind", str(kind), ("rows", "entrants"))

    def contenders_to_pandas(self) -> pandas.DataFrame:
        """Return a data frame with one row per metric of each contender, latency included."""
        return frame_of(row for one in self.contenders for row in _contender_rows(one))

    def __repr__(self) -> str:
        """Return the candidate and the verdict."""
        return f"Comparison({self.candidate}: {self.verdict})"

    def _repr_html_(self) -> str:
        """Return the table of the differences, for a notebook."""
        return checks_html(f"compare {self.candidate}: {self.verdict}", self.rows)


@dataclass(frozen=True)
class Gate:
    """The verdict of a gate."""

    document: GateReport
    """The ``gate`` document."""

    @property
    def verdict(self) -> Verdict:
        """Worst verdict of all checks."""
        return self.document.verdict

    @property
    def passed(self) -> bool:
        """``True`` if every check passed."""
        return self.verdict == Verdict.PASS

    @property
    def checks(self) -> tuple[CheckResult, ...]:
        """The checks of the policy."""
        return self.document.checks

    def to_pandas(self) -> pandas.DataFrame:
        """Return a data frame with one row per check."""
        return _checks_frame(self.checks)

    def __repr__(self) -> str:
        """Return the policy and the verdict."""
        return f"Gate({self.document.gate}: {self.verdict})"

    def _repr_html_(self) -> str:
        """Return the table of the checks, for a notebook."""
        return checks_html(f"gate {self.document.gate}: {self.verdict}", self.checks)


def read_images(cells: Iterable[CellResult]) -> list[Image.Image]:
    """Return the images of cells, in order; raises as :meth:`Sweep.images`."""
    return [_image(stored) for cell in cells for stored in cell.images]


def read_picture(path: Path) -> Image.Image:
    """Return a PNG file of a store with its texts. Raises :class:`StoreError` for any other."""
    from PIL import Image

    from turbo_lab import images

    try:
        pixels, text = images.read_png(path, follow_links=False)
    except images.ImageFileError as error:
        raise StoreError(f"{error}; run the same sweep again") from error
    picture = Image.fromarray(pixels)
    picture.info.update(text)
    return picture


def _image(stored: ImageFile) -> Image.Image:
    import numpy as np

    from turbo_lab import images

    picture = read_picture(stored.path)
    if images.pixel_sha256(np.asarray(picture)) != stored.pixel_sha256:
        raise StoreError(
            f"{stored.path}: its pixels are not those that were committed; turbo-lab store verify "
            "--remove-damaged removes it, then run the same sweep again"
        )
    picture.info.update(prompt=stored.prompt, seed=stored.seed)
    return picture


def _checks_frame(checks: Iterable[CheckResult]) -> pandas.DataFrame:
    rows = []
    for check in checks:
        row: dict[str, object] = asdict(check)
        del row["ci95"]
        ends = interval(check.ci95)
        rows.append(row | ends | {"verdict": str(check.verdict), "direction": str(check.direction)})
    order = ("name", "verdict", "value", "baseline", "difference", "ci95_low", "ci95_high")
    return frame_of(rows, order)


def _entrant_row(one: EntrantResult) -> dict[str, object]:
    """Return the fields of an entrant, with each end of an interval in a separate column."""
    row: dict[str, object] = {}
    for name, value in asdict(one).items():
        if name.endswith("_ci95"):
            low, high = value or (None, None)
            what = name.replace("_ci95", "_difference_ci95")
            row |= {f"{what}_low": low, f"{what}_high": high}
        else:
            row[name] = value
    return row


def _contender_rows(one: ContenderResult) -> Iterable[dict[str, object]]:
    for name, metric in one.metrics.items():
        yield {
            "contender": one.label,
            "metric": name,
            "value": metric.value,
            **interval(metric.ci95),
            "n": metric.n,
            "direction": str(metric.direction),
        }
    call = one.latency_s
    yield {
        "contender": one.label,
        "metric": "latency_p50_s",
        "value": call.p50,
        **interval(call.ci95),
        "n": call.n,
        "direction": "lower",
    }


def _count(number: int) -> str:
    return f"{number} cell" if number == 1 else f"{number} cells"
