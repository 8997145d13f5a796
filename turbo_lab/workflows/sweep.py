"""Running a resolved sweep, and keeping its results. Prints nothing.

Owns the order of events from a resolved sweep to its records and measurements, and on to
its contact sheet, its MLflow runs and its document. Each step has its own module.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from turbo_lab import environment
from turbo_lab.documents.document import to_document
from turbo_lab.documents.sweep import CellResult, SweepResult
from turbo_lab.errors import IncompleteError
from turbo_lab.execute.context import DrawingTime, Progress, SweepContext, SweepHooks, SweepOutcome
from turbo_lab.execute.driver import run_plan
from turbo_lab.execute.worker import worker_for
from turbo_lab.metrics.context import MetricContext
from turbo_lab.planning.options import SheetOptions
from turbo_lab.planning.plan import Plan, PlannedCell
from turbo_lab.planning.resolved_sweep import (
    ResolvedSweep,
    cell_notes,
    plan_sweep,
    start_warnings,
)
from turbo_lab.progress import waiting
from turbo_lab.request.recipe import Cell
from turbo_lab.request.resolve import pin_revisions
from turbo_lab.store.layout import SweepFiles
from turbo_lab.store.record import CellStatus, Measurement, Record
from turbo_lab.store.store import Store
from turbo_lab.tracking import Tracker
from turbo_lab.tracking.projection import SweepHead, content_digest
from turbo_lab.workflows import results
from turbo_lab.workflows.executed import Executed
from turbo_lab.workflows.origins import cell_origin
from turbo_lab.workflows.settings import resolve_metric_context
from turbo_lab.workflows.sweep_report import attachments


@dataclass(frozen=True)
class FinishedSweep:
    """A finished sweep, with its files in the store."""

    result: SweepResult
    """Cells of the sweep, with their metrics."""
    document: Path
    """File of the document."""
    sheet: Path
    """File of the contact sheet."""
    is_tracked: bool
    """``True`` if MLflow has every cell, or if the sweep is not tracked."""

    @property
    def exit_code(self) -> int:
        """3 if a cell failed or MLflow could not be reached, otherwise 0."""
        return 3 if self.result.counts.failed or not self.is_tracked else 0


def run_sweep(sweep: ResolvedSweep, progress: Progress) -> Executed:
    """Plan a sweep, run what the store lacks, and measure it.

    Raises the first bug in turbo-lab that a cell met, after everything else is done.
    """
    done = _execute(sweep, progress)
    _raise_bug(done)
    return done


def _raise_bug(done: Executed) -> None:
    """Raise the first bug in turbo-lab that a cell met: a crash must not look like bad input."""
    if done.outcome.bug is not None:
        raise done.outcome.bug


def _execute(
    sweep: ResolvedSweep,
    progress: Progress,
    tracker: Tracker | None = None,
    is_resumable: bool = False,
) -> Executed:
    """Plan a sweep, run what the store lacks, and measure it.

    ``tracker`` gets each cell when it is finished. ``is_resumable``: keep a list of the cells
    in the store, which ``sync`` reads if the sweep is cut off.
    """
    # Cheap checks first: extractor and reference before any image.
    measured_with = resolve_metric_context(sweep)
    store = Store(sweep.options.store, for_reading=True)
    if is_resumable:
        store.check_writable()
    pin_revisions(sweep.library, store.layout.revisions)
    plan = plan_sweep(sweep, store)
    unfinished = [planned.cell for planned in plan.cells if planned.missing]
    assumptions = sweep.library.assumptions if unfinished else []
    for text in (*cell_notes(unfinished), *start_warnings(unfinished), *assumptions):
        progress.note(f"warning: {text}")
    if plan.groups and is_resumable:
        store.begin_sweep(sweep.sweep_id, results.begun_sweep(plan, sweep))
    git = environment.git_state(Path.cwd())
    drawn: dict[str, DrawingTime] = {}
    context = SweepContext(
        store=store,
        keys=sweep.keys,
        fingerprint=sweep.fingerprint,
        timing=sweep.options.timing,
        origins={one.cell.cell_id: cell_origin(sweep.library, git, one.cell) for one in plan.cells},
        hooks=_hooks(tracker, sweep, plan, store, drawn) if plan.groups else SweepHooks(),
        drawn=drawn,
        fail_fast=sweep.options.fail_fast,
    )
    outcome = run_plan(plan, worker_for(sweep), context, progress)
    began = time.perf_counter()
    measurements = _measure(sweep, measured_with, outcome, store)
    metrics_s = time.perf_counter() - began
    return Executed(
        sweep=sweep,
        plan=plan,
        store=store,
        outcome=outcome,
        measurements=measurements,
        metrics_s=metrics_s,
    )


def run_tracked(
    sweep: ResolvedSweep, progress: Progress, began: float | None = None
) -> FinishedSweep:
    """Run a sweep, track it as its options say, and keep its document and contact sheet.

    ``began``: start of the command on the clock of ``time.perf_counter``; ``None``: now.
    Raises as :func:`run_sweep`.
    """
    began = time.perf_counter() if began is None else began
    tracker = Tracker.from_options(sweep.options.tracking)
    try:
        done = _execute(sweep, progress, tracker, is_resumable=True)
    except BaseException:  # Ctrl-C too
        if tracker is not None:
            tracker.give_up()
        raise
    finished = finish_sweep(done, tracker, progress, began)
    _raise_bug(done)
    return finished


def finish_sweep(
    done: Executed, tracker: Tracker | None, progress: Progress, began: float | None = None
) -> FinishedSweep:
    """Keep the contact sheet and the document of a sweep, and bring it into MLflow.

    ``began``: start of the command, as in :func:`run_tracked`; ``None``: unknown.
    """
    result, store = results.sweep_result(done), done.store
    files = store.sweep_files(result.sweep_id)
    sheet, path = files.sheet, files.document
    with waiting("drawing the contact sheet"):
        _draw_sheet(result, files, store, done.sweep.options.sheet)
    is_tracked = True
    if tracker is not None:
        result = replace(result, tracking_uri=tracker.settings.public_uri)
        run_ids: Mapping[str, str] = {}
        asked = time.perf_counter()
        try:
            with waiting("writing the results to MLflow"):
                shown = attachments(result, sheet, tracker.settings.images)
                run_ids = tracker.project_news(result, store, shown)
        except IncompleteError as error:
            progress.note(str(error))
            is_tracked = False
        result = result.with_run_ids(run_ids, time.perf_counter() - asked)
    if began is not None:
        result = replace(result, total_s=time.perf_counter() - began)
    store.write_document(path, to_document("sweep", result))
    return FinishedSweep(result, path, sheet, is_tracked)


def _hooks(
    tracker: Tracker | None,
    sweep: ResolvedSweep,
    plan: Plan,
    store: Store,
    drawn: Mapping[str, DrawingTime],
) -> SweepHooks:
    """Return hooks that pass each finished cell to a tracker."""
    if tracker is None:
        return SweepHooks()
    planned = {one.cell.cell_id: one for one in plan.cells}
    models = tuple(dict.fromkeys(cell.request.model for cell in sweep.cells))
    tracker.begin(SweepHead(sweep.sweep_id, str(store.root), models))

    def on_record(cell: Cell, record: Record) -> None:
        tracker.add(partial(_row, planned[cell.cell_id], record, store, drawn.get(cell.cell_id)))

    return SweepHooks(on_record=on_record, on_batch=tracker.start, quiet=tracker.quiet)


def _row(
    planned: PlannedCell, record: Record, store: Store, taken: DrawingTime | None
) -> CellResult:
    return results.with_time(results.cell_result(planned, record, store), taken)


def _measure(
    sweep: ResolvedSweep, context: MetricContext | None, outcome: SweepOutcome, store: Store
) -> dict[str, list[Measurement]]:
    """Return the measurements of all finished records; measure the ones that the store lacks."""
    done = [record for record in outcome.records.values() if record.status == CellStatus.DONE]
    if context is None or not done:
        return {}
    return results.measure_cells(done, sweep.options.metrics.names, context, store)


def _draw_sheet(
    result: SweepResult, files: SweepFiles, store: Store, options: SheetOptions
) -> None:
    """Draw the contact sheet, unless it already shows the same cells in the same way."""
    from turbo_lab.report.sheet import draw_sheet

    layout = [options.across, options.down]
    content = {"content": content_digest(result), "layout": layout}
    if files.sheet.exists() and store.read_note(files.sheet_note) == content:
        return
    store.write_file(files.sheet, draw_sheet(result, *layout))
    store.write_document(files.sheet_note, content)
