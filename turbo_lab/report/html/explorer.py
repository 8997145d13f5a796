"""Data of the explorer on a sweep's page: axes, metrics, cells and images, as one JSON block.

Owns the shape of that block and how it is put into a page: no text in it can end the block or
become markup. The scripts in ``assets`` read it and build tiles from it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from turbo_lab import __version__
from turbo_lab.documents.recorded_keys import drawing_words
from turbo_lab.documents.sweep import CellResult, ImageFile, SweepResult
from turbo_lab.report.columns import CellDetails, Column, label, short_axis
from turbo_lab.report.csv import cells_csv
from turbo_lab.report.html.page import Html, data_uri, tag
from turbo_lab.report.html.pictures import Picture
from turbo_lab.store.record import SCHEMA
from turbo_lab.untrusted.typed_json import to_plain

Cells = Sequence[CellResult]


@dataclass(frozen=True)
class ExplorerAxis:
    """A key that varies over the cells."""

    key: str
    """Config key."""
    title: str
    """Short name of the key."""
    values: tuple[str, ...]
    """Its values as text, in the order of the grid."""


@dataclass(frozen=True)
class ExplorerMetric:
    """A number that cells or images can be filtered and sorted by."""

    name: str
    """Name, such as ``clip_score`` or ``latency_ms``."""
    title: str
    """Name with its unit."""
    direction: str
    """``higher`` or ``lower`` is better; ``none``: neither."""
    decimals: int
    """Number of decimals that are shown."""


@dataclass(frozen=True)
class ExplorerImage:
    """One image of a cell."""

    row: int
    """Position of the image in its cell."""
    prompt: int
    """Position of its prompt in ``prompts``."""
    seed: int
    """Seed of the image."""
    sha256: str
    """sha256 of its pixels."""
    thumb: int
    """Position of its address in ``addresses``."""
    width: int
    """Width of the file, in pixels."""
    height: int
    """Height of the file, in pixels."""
    file: str
    """The PNG file, an absolute path."""
    scores: tuple[float | None, ...]
    """Values per image, one for each of ``image_metrics``."""
    source: int | None
    """Position of its source image in ``sources``. ``None``: there is none to show."""
    source_name: str | None
    """File name of its source image. ``None``: text to image."""
    flagged: bool | None
    """Answer of the safety checker. ``None``: it was not asked."""


@dataclass(frozen=True)
class ExplorerCell:
    """One cell."""

    cell_id: str
    """Id of the cell."""
    record_id: str
    """Id of its record."""
    label: str
    """The values of its axes in words."""
    status: str
    """``done``, ``reused`` or ``failed``."""
    error: str | None
    """Why it failed. ``None``: it did not."""
    axes: Mapping[str, object]
    """Values of its axes by key, as a selection names them."""
    at: tuple[int, ...]
    """Position of its value on each axis."""
    values: tuple[float | None, ...]
    """Its value of each metric."""
    settings: Mapping[str, str]
    """Every setting that has a value, by config key."""
    words: tuple[str, ...]
    """Words of ``turbo-lab generate`` that set everything but prompt and seed."""
    num_images: int
    """Number of its images, those that the page does not show included."""
    images: tuple[ExplorerImage, ...]
    """Images that the page shows, in order."""


@dataclass(frozen=True)
class ExplorerData:
    """Everything that the scripts of a sweep's page know."""

    schema: int
    """Schema of documents, for the selection that the page exports."""
    version: str
    """Version of turbo-lab, for the selection that the page exports."""
    sweep_id: str
    """Id of the sweep."""
    store: str
    """Folder of the store."""
    is_exact: bool
    """``True`` if every image on the page has the pixels of its file."""
    axes: tuple[ExplorerAxis, ...]
    """Axes that vary, in the order of the command line."""
    metrics: tuple[ExplorerMetric, ...]
    """Metrics of cells."""
    image_metrics: tuple[ExplorerMetric, ...]
    """Metrics that have a value per image."""
    prompts: tuple[str, ...]
    """Prompts of all images, each once."""
    cells: tuple[ExplorerCell, ...]
    """Cells, in the order of the grid."""
    csv: str
    """The same table as ``report --format csv``."""
    addresses: tuple[str, ...] = field(default=())
    """Addresses of the images: the images themselves as ``data:``, or paths of a server."""
    sources: tuple[str, ...] = field(default=())
    """Addresses of the source images."""


@dataclass
class _Indexed:
    """Texts in the order of their first use, each once."""

    places: dict[str, int] = field(default_factory=dict)
    """Position of each text."""

    def __call__(self, text: str) -> int:
        return self.places.setdefault(text, len(self.places))


def _inline(_: ImageFile, picture: Picture) -> str:
    return data_uri(picture.content, picture.mime)


@dataclass(frozen=True)
class Shown:
    """Images that a page shows, with what the store knows about them."""

    details: Mapping[str, CellDetails] = field(default_factory=dict)
    """Details of the cells, by record id."""
    pictures: Mapping[str, Picture] = field(default_factory=dict)
    """Images by path."""
    sources: Mapping[str, Picture] = field(default_factory=dict)
    """Source images by digest."""
    address: Callable[[ImageFile, Picture], str] = _inline
    """Function that returns the address of an image: by default, the image itself."""


def explorer_data(
    sweep: SweepResult, axes: Sequence[str], columns: Sequence[Column], shown: Shown
) -> ExplorerData:
    """Return the data of a sweep's page. ``axes``: keys that vary."""
    builder = _Builder(axes, columns, shown)
    cells = tuple(builder.cell(index, row) for index, row in enumerate(sweep.cells))
    return ExplorerData(
        schema=SCHEMA,
        version=__version__,
        sweep_id=sweep.sweep_id,
        store=str(sweep.store),
        is_exact=all(picture.is_exact for picture in shown.pictures.values()),
        axes=tuple(
            ExplorerAxis(name, short_axis(name), tuple(found.places))
            for name, found in builder.values.items()
        ),
        metrics=tuple(map(_metric, columns)),
        image_metrics=tuple(map(_metric, builder.scored)),
        prompts=tuple(builder.prompts.places),
        cells=cells,
        csv=cells_csv(sweep.cells),
        addresses=tuple(builder.addresses.places),
        sources=tuple(data_uri(one.content, one.mime) for one in shown.sources.values()),
    )


class _Builder:
    """Cells and images of a page, and what they refer to by position."""

    def __init__(self, axes: Sequence[str], columns: Sequence[Column], shown: Shown) -> None:
        self.columns, self.shown = columns, shown
        self.values = {name: _Indexed() for name in axes}
        self.prompts, self.addresses = _Indexed(), _Indexed()
        self.sources = {digest: index for index, digest in enumerate(shown.sources)}
        self.scored = [column for column in columns if has_images(column, shown.details)]

    def cell(self, index: int, row: CellResult) -> ExplorerCell:
        """Return one cell."""
        return ExplorerCell(
            cell_id=row.cell_id,
            record_id=row.record_id,
            label=label(row, self.values),
            status=str(row.status),
            error=row.error,
            axes=dict(row.axes),
            at=tuple(found(str(row.axes.get(name, ""))) for name, found in self.values.items()),
            values=tuple(_finite(column.values[index]) for column in self.columns),
            settings=_settings(row),
            words=tuple(drawing_words(row)),
            num_images=len(row.images),
            images=tuple(
                self._image(row, place, entry, self.shown.pictures[str(entry.path)])
                for place, entry in enumerate(row.images)
                if str(entry.path) in self.shown.pictures
            ),
        )

    def _image(
        self, row: CellResult, place: int, entry: ImageFile, picture: Picture
    ) -> ExplorerImage:
        found = self.shown.details.get(row.record_id)
        per_image = {} if found is None else found.per_image
        scores = [per_image.get(column.name) for column in self.scored]
        origins = row.provenance.sources or {}
        digest = entry.source
        return ExplorerImage(
            row=place,
            prompt=self.prompts(entry.prompt),
            seed=entry.seed,
            sha256=entry.pixel_sha256,
            thumb=self.addresses(self.shown.address(entry, picture)),
            width=picture.width,
            height=picture.height,
            file=str(entry.path),
            scores=tuple(None if one is None else _finite(one[place]) for one in scores),
            source=None if digest is None else self.sources.get(digest),
            source_name=None
            if digest is None
            else (origins[digest].name if digest in origins else digest[:12]),
            flagged=entry.flagged,
        )


def has_images(column: Column, details: Mapping[str, CellDetails]) -> bool:
    """Return whether a metric has values per image."""
    return any(column.name in found.per_image for found in details.values())


def data_block(data: ExplorerData) -> Html:
    """Return the data as a block that no script runs and no text can end."""
    text = json_text(data)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return tag("script", Html(text), type="application/json", id="data")


def json_text(data: ExplorerData) -> str:
    """Return the data as strict JSON in ASCII."""
    return json.dumps(to_plain(data), allow_nan=False, separators=(",", ":"))


def _metric(column: Column) -> ExplorerMetric:
    return ExplorerMetric(column.name, column.title, str(column.direction), column.decimals)


def _settings(row: CellResult) -> dict[str, str]:
    return {k: str(v) for k, v in row.parameters.by_key().items() if v is not None}


def _finite(value: float | None) -> float | None:
    """Return a number that JSON has; ``None`` for any other."""
    return None if value is None or not math.isfinite(value) else value
