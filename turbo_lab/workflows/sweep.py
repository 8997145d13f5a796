"""What the commands that generate do: points of a grid in, documents out.

Owns the way from a composed grid to cells, plan, run, figures, MLflow and the
table. The parts are pure or have their own module; this one only joins them.
"""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turbo_lab import environment
from turbo_lab.cards import AdapterFiles, ModelFiles, VaeFiles
from turbo_lab.documents.output import print_document
from turbo_lab.errors import IncompleteError, InputError, StoreError
from turbo_lab.execute.driver import Progress, SweepContext, SweepOutcome, run_plan
from turbo_lab.execute.worker import worker_for
from turbo_lab.metrics.context import MetricContext
from turbo_lab.planning.plan import Plan
from turbo_lab.planning.resolved_sweep import (
    ResolvedSweep,
    measuring,
    plan_sweep,
    resolve_points,
    start_warnings,
)
from turbo_lab.request.recipe import Cell
from turbo_lab.request.resolve import Library, pin_revisions
from turbo_lab.store.record import CellStatus, Measurement, Record, document
from turbo_lab.store.store import Store
from turbo_lab.tracking import Tracker, TrackingSettings
from turbo_lab.tracking.projection import content_digest
from turbo_lab.untrusted.paths import read_regular, replace_file
from turbo_lab.workflows import results
from turbo_lab.workflows.settings import resolve_metric_context

if TYPE_CHECKING:
    from turbo_lab.config import GridPoint


@dataclass(frozen=True)
class Executed:
    """A grid that has run."""

    sweep: ResolvedSweep
    """As it was resolved."""
    plan: Plan
    """What was left to do."""
    context: SweepContext
    """Store and fingerprint."""
    outcome: SweepOutcome
    """Records by cell."""
    document: dict[str, Any]
    """The ``sweep`` document, without its header."""

    @property
    def from_store(self) -> int:
        """Images that were there already, and that no pipeline has drawn now."""
        planned = self.plan.cells
        missing = sum(len(batch.layout.seeds) for one in planned for batch in one.missing)
        return sum(one.cell.num_images for one in planned) - missing


def execute(
    sweep: ResolvedSweep,
    progress: Progress,
    tracker: Tracker | None = None,
    is_sweep: bool = False,
) -> Executed:
    """Plan a sweep, run what the store lacks, measure it.

    ``tracker`` is shown each cell meanwhile. ``is_sweep``: it leaves a document, and a
    note of what it is about to make, which is read if it is cut off.
    """
    # What fails cheaply fails first: extractor and reference before any image.
    measured_with = resolve_metric_context(sweep)
    store = Store(sweep.options.store)
    pin_revisions(sweep.library, store.root / "revisions.json")
    plan = plan_sweep(sweep, store)
    for text in start_warnings([planned.cell for planned in plan.cells if planned.missing]):
        progress.note(f"warning: {text}")
    context = SweepContext(
        store=store,
        fingerprint=sweep.fingerprint,
        exactness=sweep.exactness,
        provenance=partial(_provenance, sweep.library, environment.git_provenance(Path.cwd())),
        names=partial(_names, sweep.library),
        timing=sweep.options.timing,
        may_split=sweep.options.may_split,
    )
    if plan.groups and is_sweep:
        store.begin_sweep(results.begun_values(plan, sweep.sweep_id, context))
    if plan.groups and tracker is not None:
        context = _tracked(context, tracker, sweep, plan)
    outcome = run_plan(plan, worker_for(sweep), context, progress)
    document_values = _sweep_values(sweep, plan, context, outcome, measured_with)
    return Executed(sweep, plan, context, outcome, document_values)


def run_points(command: str, points: Sequence[GridPoint], as_json: bool) -> int:
    """Run ``sweep`` or ``generate`` on a grid; returns the exit code."""
    from turbo_lab.progress import StderrProgress

    sweep = resolve_points(points)
    if command == "generate":
        _make_folder(sweep.options.output)
        sweep = measuring(sweep)
    settings = TrackingSettings.from_options(sweep.options.tracking)
    tracker = None if settings is None else Tracker(settings)
    progress = StderrProgress()
    try:
        done = execute(sweep, progress, tracker, command == "sweep")
    except BaseException:  # Ctrl-C too; it goes on to the caller
        if tracker is not None:
            tracker.give_up()
        raise
    finally:
        progress.end()
    if command == "generate":
        return _finish_generate(done.sweep, done.plan, done.context.store, done.outcome, as_json)
    return _finish_sweep(done.document, done.context.store, tracker, progress, as_json)


def _tracked(
    context: SweepContext, tracker: Tracker, sweep: ResolvedSweep, plan: Plan
) -> SweepContext:
    """The context of a sweep that is projected while it goes on."""
    models = [{"parameters": {"model": cell.request.model}} for cell in sweep.cells]
    store, planned = context.store, {one.cell.cell_id: one for one in plan.cells}
    tracker.begin({"sweep_id": sweep.sweep_id, "store": str(store.root), "cells": models})

    def on_record(cell: Cell, record: Record) -> None:
        tracker.add(partial(results.cell_row, planned[cell.cell_id], record, store))

    return replace(context, on_record=on_record, on_batch=tracker.start, quiet=tracker.quiet)


def _names(library: Library, cell: Cell) -> dict[str, str]:
    """Return digest to name of everything that a cell is drawn with."""
    adapters = {key: library.adapters[key].name for key, _ in cell.recipe.lora}
    vaes = {files.digest: files.name for files in _vaes(library, cell)}
    return {cell.recipe.model: cell.request.model, **adapters, **vaes}


def _vaes(library: Library, cell: Cell) -> list[VaeFiles]:
    """The one that takes the place of the checkpoint's own, if there is one."""
    return [library.vaes[value] for key, value in cell.recipe.variant if key == "vae"]


def _provenance(library: Library, git: Mapping[str, Any] | None, cell: Cell) -> dict[str, Any]:
    """What a cell's record says of where its weights and prompts came from."""
    _, files = library.cards[cell.request.model, cell.recipe.model]
    adapters = [library.adapters[key] for key, _ in cell.recipe.lora]
    prompts = library.prompt_sets[cell.prompt_set]
    return {
        "models": {
            cell.request.model: _origin(files),
            **{vae.name: _origin(vae) for vae in _vaes(library, cell)},
        },
        "adapters": {adapter.name: _origin(adapter) for adapter in adapters},
        "prompt_sets": {prompts.name: prompts.digest},
        "git": git,
    }


def _origin(files: ModelFiles | AdapterFiles | VaeFiles) -> dict[str, Any]:
    return {
        "digest": files.digest,
        "revision": files.revision,
        "license": files.license,
        "license_source": files.license_source,
    }


def _finish_generate(
    sweep: ResolvedSweep, plan: Plan, store: Store, outcome: SweepOutcome, as_json: bool
) -> int:
    """Link the images where the user looks for them, and name each."""
    from turbo_lab.store.store import images_of

    folder = sweep.options.output
    rows: list[dict[str, Any]] = []
    failed = []
    for planned in plan.cells:
        record = outcome.records[planned.cell.cell_id]
        if record.status == CellStatus.FAILED:
            failed.append(record.error)
            continue
        for path, pixel_sha256, prompt, seed in images_of(store, record):
            slug = re.sub(r"[^a-z0-9]+", "-", prompt.lower()).strip("-")[:48] or "image"
            # By its pixels: other prompts may have the same first letters.
            target = folder / f"{slug}-seed{seed}-{pixel_sha256[:8]}.png"
            _copy(path, target)
            rows.append(
                {
                    "path": str(target.resolve()),
                    "pixel_sha256": pixel_sha256,
                    "seed": seed,
                    "prompt": prompt,
                }
            )
    if as_json:
        print_document("generate", {"images": rows, "load_s": outcome.load_s})
    else:
        for row in rows:
            print(f"{row['path']}  {row['pixel_sha256'][:12]}")
    return 3 if failed else 0


def _make_folder(folder: Path) -> None:
    """Before anything is drawn: a folder that cannot be made is the user's to change."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"output={folder}: cannot be made ({reason}); name another") from error


def _copy(path: Path, target: Path) -> None:
    """A copy, by one rename: an edit of it must not reach the store."""
    try:
        replace_file(target, read_regular(path, error=StoreError))
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"output={target.parent}: cannot be written to ({reason})") from error


def _sweep_values(
    sweep: ResolvedSweep,
    plan: Plan,
    context: SweepContext,
    outcome: SweepOutcome,
    measured_with: MetricContext | None,
) -> dict[str, Any]:
    """The ``sweep`` document, without its header; missing figures are taken now."""
    done = [r for r in outcome.records.values() if r.status == CellStatus.DONE]
    began = time.perf_counter()
    measurements: dict[str, list[Measurement]] = {}
    if measured_with is not None and done:
        names = sweep.options.metrics.names
        measurements = results.measure_cells(done, names, measured_with, context.store)
    metrics_s = time.perf_counter() - began
    rows = results.cell_rows(plan, outcome, context, measurements)
    results.keep_figures(rows, context.store, sweep.sweep_id)
    statuses = [row["status"] for row in rows]
    return {
        "sweep_id": sweep.sweep_id,
        "store": str(context.store.root),
        "tracking_uri": None,
        "load_s": outcome.load_s,
        "wall_s": outcome.wall_s,
        "metrics_s": metrics_s,
        "timing_s": outcome.timing_s,
        "tracking_s": 0.0,
        "counts": {
            "requested": plan.requested,
            "distinct": len(rows),
            **{
                status: statuses.count(status)
                for status in (CellStatus.REUSED, CellStatus.DONE, CellStatus.FAILED)
            },
        },
        "work": results.work_rows(plan, outcome),
        "cells": rows,
    }


def _finish_sweep(
    values: dict[str, Any],
    store: Store,
    tracker: Tracker | None,
    progress: Progress,
    as_json: bool,
) -> int:
    """Sheet, MLflow, document and table; returns the exit code."""
    folder = store.sweep_folder(values["sweep_id"])
    sheet = folder / "sheet.png"
    _draw_sheet(values, sheet, store)
    code = 3 if values["counts"]["failed"] else 0
    if tracker is not None:
        values["tracking_uri"] = tracker.settings.public_uri
        began = time.perf_counter()
        try:
            run_ids = tracker.project_news(values, sheet, store)
            for row in values["cells"]:
                row["mlflow_run_id"] = run_ids[row["record_id"]]
        except IncompleteError as error:
            progress.note(str(error))
            code = error.exit_code
        values["tracking_s"] = time.perf_counter() - began
    store.write_document(folder / "sweep.json", document("sweep", values))
    if as_json:
        print_document("sweep", values)
        return code
    from turbo_lab.report.text.tables import sweep_table

    sweep_table(values)
    print(f"\ncontact sheet   {sheet}")
    print(f"results         {folder / 'sweep.json'}")
    if tracker is not None and values["tracking_uri"].startswith("sqlite"):
        uri = shlex.quote(values["tracking_uri"])
        print(f"open MLflow     mlflow ui --backend-store-uri {uri}")
    elif tracker is not None:
        print(f"MLflow          {values['tracking_uri']}")
    if values["counts"]["failed"]:
        print("try again       run the same command: only what failed is left")
    return code


def _draw_sheet(values: Mapping[str, Any], sheet: Path, store: Store) -> None:
    """The contact sheet, unless it shows these very cells already."""
    note = sheet.with_name("sheet.json")
    content = {"content": content_digest(values)}
    if sheet.exists() and store.read_note(note) == content:
        return
    store.write_file(sheet, results.sheet(values))
    store.write_document(note, content)
