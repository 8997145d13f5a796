"""Find a finished sweep in a store, and show it as a page.

Refuses a sweep that names files outside its store.
"""

from __future__ import annotations

import os
from pathlib import Path

from turbo_lab.documents.sweep import SweepResult, latest_timing
from turbo_lab.errors import InputError, StoreError, unknown_name
from turbo_lab.report.columns import CellDetails
from turbo_lab.store.layout import DEFAULT_STORE, SWEEP_FILE, StoreLayout, store_around
from turbo_lab.store.record import read_object
from turbo_lab.store.store import Store
from turbo_lab.tracking import Attachments
from turbo_lab.untrusted.paths import output_path


def find_sweep(name: str, store: str | None) -> Path:
    """Return the sweep document that a name means. Raises :class:`InputError`."""
    given = Path(name)
    if given.is_file():
        return given
    if (given / SWEEP_FILE).is_file():
        return given / SWEEP_FILE
    layout = StoreLayout(output_path(store or DEFAULT_STORE, "store"))
    known = [one for one in layout.sweeps() if one.document.exists()]
    found = [one for one in known if name and one.sweep_id.startswith(name)]
    if len(found) == 1:
        return found[0].document
    if found:
        ids = ", ".join(one.sweep_id for one in found)
        raise InputError(f"{name}: matches {len(found)} sweeps ({ids}); give more digits of one")
    if name and any(one.begun.exists() for one in layout.sweeps(name)):
        raise InputError(f"{name}: that sweep was cut off; the same command again finishes it")
    if not known:
        raise InputError(f"{name}: does not exist, and {layout.root} has no sweeps; set store=DIR")
    raise unknown_name("sweep", name, [one.sweep_id for one in known])


def read_sweep(path: Path, store: str | None) -> SweepResult:
    """Return a sweep, its paths moved to ``store`` or else to the store that its file is in.

    Raises :class:`StoreError` if it names files outside its store.
    """
    content = read_object(path, "run the same sweep again")
    sweep = SweepResult.from_document(content, str(path))
    if not sweep.cells:
        raise InputError(f"{path}: the sweep has no cells; there is nothing to show")
    return sweep.moved(_store_of(path, sweep.store, store))


def _store_of(path: Path, named: Path, given: str | None) -> Path:
    """Return the store whose files are shown: ``given``, the one around ``path``, or ``named``."""
    if given is not None:
        return Path(given).resolve()
    return store_around(path) or named.resolve()


def cell_details(sweep: SweepResult) -> dict[str, CellDetails]:
    """Return what the store has of each cell, by record id; empty if there is no store."""
    root = sweep.store
    if not StoreLayout(root).exists:
        return {}
    store = Store.existing(root)
    found = {}
    for row in sweep.cells:
        record = store.read_record(row.record_id)
        if record is None:
            continue
        fingerprints = {metric.fingerprint for metric in row.metrics.values()}
        per_image = {
            m.name: m.per_image
            for m in store.measurements(record.record_id)
            if m.per_image is not None and m.fingerprint in fingerprints
        }
        timing = latest_timing(store, record)
        samples = () if timing is None else timing.samples_s
        found[record.record_id] = CellDetails(per_image, samples, record.fingerprint)
    return found


def report_content(
    sweep: SweepResult, form: str, target: Path, images: int | None
) -> tuple[str | bytes, int]:
    """Return what a report's file holds, and how many images of the sweep are missing.

    ``form``: ``html``, ``markdown``, ``csv``, ``parquet`` or ``model-card``. ``target``: the file.
    ``images``: most images per cell on a page; ``None`` lets the number of cells decide.
    """
    from turbo_lab.report.csv import cells_csv
    from turbo_lab.report.markdown import sweep_markdown
    from turbo_lab.report.parquet import cells_parquet

    if form == "html":
        return html_page(sweep, images)
    if form == "parquet":
        return cells_parquet(sweep.cells), 0
    if form == "model-card":
        return card_page(sweep, target), 0
    return (sweep_markdown(sweep) if form == "markdown" else cells_csv(sweep.cells)), 0


def card_page(sweep: SweepResult, target: Path) -> str:
    """Return the sweep as a model card; ``target``: its file, to which paths are relative."""
    from turbo_lab.report.model_card import model_card

    details = cell_details(sweep)
    keys = next((dict(one.fingerprint.keys) for one in details.values()), {})
    sheet = StoreLayout(sweep.store).sweep(sweep.sweep_id).sheet
    is_there = bool(details) and sheet.is_file()
    relative = os.path.relpath(sheet, target.resolve().parent) if is_there else None
    return model_card(sweep, keys, relative)


def html_page(sweep: SweepResult, shown: int | None) -> tuple[str, int]:
    """Return a page with plots and images, and the number of its images that are missing.

    ``shown``: most images per cell; ``None`` lets the number of cells decide.
    """
    from turbo_lab.report.html.explorer import Shown
    from turbo_lab.report.html.pictures import pictures_per_cell, read_pictures, read_sources
    from turbo_lab.report.html.sweep import sweep_report

    cells = sweep.cells
    limit = pictures_per_cell(len(cells)) if shown is None else shown
    paths = [image.path for row in cells for image in row.images[:limit]]
    # A document may name any folder as its store.
    is_store = StoreLayout(sweep.store).exists
    try:
        pictures = read_pictures(paths) if is_store else {}
    except OSError as error:
        raise StoreError(
            f"{error}: an image of the sweep cannot be read; "
            "turbo-lab store verify lists what is damaged"
        ) from error
    missing = sum(str(path) not in pictures for path in paths)
    sources = read_sources(cells, limit)
    return sweep_report(sweep, Shown(cell_details(sweep), pictures, sources)), missing


def attachments(sweep: SweepResult, sheet: Path, tracked_images: str) -> Attachments:
    """Return the files and texts that MLflow shows of a sweep, next to its cells.

    ``tracked_images``: ``all``, ``sheet`` or ``none``; the page has images only for ``all``.
    """
    from turbo_lab.report.description import best_cells, sweep_description

    shown = None if tracked_images == "all" else 0
    return Attachments(
        sheet=sheet,
        page=lambda: html_page(sweep, shown)[0],
        describe=lambda links: sweep_description(sweep, links),
        best=best_cells(sweep.cells),
    )
