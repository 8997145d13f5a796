"""Measurements and result of a finished sweep.

Owns the choice of which measurements a cell still lacks. Imports torch only if one is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from turbo_lab.documents.cut_off import BegunCell, BegunSweep
from turbo_lab.documents.sweep import CellResult, RowsDone, SweepCounts, SweepResult, SweepWork
from turbo_lab.execute.context import DrawingTime, SweepOutcome
from turbo_lab.identity import DigestCache
from turbo_lab.metrics.context import MetricContext, metric_fingerprints
from turbo_lab.metrics.extractor_source import extractor_source, inception_source
from turbo_lab.metrics.reference_source import ReferenceSource, reference_source
from turbo_lab.metrics.safety_source import safety_source
from turbo_lab.metrics.skills import with_skills
from turbo_lab.planning.options import MetricOptions
from turbo_lab.planning.plan import Plan, PlannedCell
from turbo_lab.planning.resolved_sweep import ResolvedSweep
from turbo_lab.progress import track
from turbo_lab.request.prompts import DATA, PromptSet, read_prompts
from turbo_lab.store.record import FLAGGED, CellStatus, Measurement, Record
from turbo_lab.store.store import Store, images_of, read_image
from turbo_lab.workflows.executed import Executed


def metric_context(options: MetricOptions, prompt_sets: Sequence[PromptSet]) -> MetricContext:
    """Return the extractors, references and captions that metrics are measured with."""
    captions = tuple(dict.fromkeys(p for found in prompt_sets for p in found.prompts))
    # A scene is retrieved among all 640 scenes, even if only some of them were drawn.
    scenes = read_prompts(DATA / "scenes-all.txt").prompts
    return MetricContext(
        extractor=extractor_source(options.extractor, options.pretrained),
        reference=_reference(options.reference),
        prompt_set=scenes if set(captions) <= set(scenes) else captions,
        inception=inception_source(options.inception),
        inception_reference=_reference(options.fid_reference),
        safety=None if options.safety_checker is None else safety_source(options.safety_checker),
    )


def _reference(name: str | None) -> ReferenceSource | None:
    return None if name is None else reference_source(name)


def measure_cells(
    records: Sequence[Record], names: Sequence[str], context: MetricContext, store: Store
) -> dict[str, list[Measurement]]:
    """Return the measurements of each record, by its id; measure what the store lacks.

    A metric that failed before is tried again.
    """
    cache = DigestCache()
    wanted = metric_fingerprints(names, context, cache)
    found = {one.record_id: _stored(one, wanted, store) for one in records}
    lacking = {
        one.record_id: [
            name
            for name, full in zip(names, wanted, strict=True)
            if full not in found[one.record_id]
        ]
        for one in records
    }
    unfinished = [one for one in records if lacking[one.record_id]]
    for record in track(unfinished, "cells measured"):
        missing = lacking[record.record_id]
        measured = _measure(record, missing, context, store=store, cache=cache)
        found[record.record_id] |= {one.name: one for one in measured}
    return {
        record_id: [have[name] for name in wanted if name in have]
        for record_id, have in found.items()
    }


def _stored(record: Record, wanted: Mapping[str, str], store: Store) -> dict[str, Measurement]:
    """Return the stored measurements of a record that need not be repeated, by name."""
    stored = {(m.name, m.fingerprint): m for m in store.measurements(record.record_id)}
    return {
        name: stored[name, fingerprint]
        for name, fingerprint in wanted.items()
        if (name, fingerprint) in stored and not stored[name, fingerprint].failed
    }


def _measure(
    record: Record,
    names: Sequence[str],
    context: MetricContext,
    store: Store,
    cache: DigestCache,
) -> list[Measurement]:
    from turbo_lab.metrics.cache import FeatureCache
    from turbo_lab.metrics.evaluate import measure

    rows = images_of(store, record)
    pixels = [read_image(path, pixel_sha256) for path, pixel_sha256, *_ in rows]
    prompts, seeds = [row[2] for row in rows], [row[3] for row in rows]
    measured = measure(
        pixels,
        prompts,
        seeds,
        names=names,
        context=context,
        cache=cache,
        features=FeatureCache(),
        paths=[row[0] for row in rows],
    )
    for measurement in measured:
        store.write_measurement(record.record_id, measurement)
    return measured


def sweep_result(done: Executed) -> SweepResult:
    """Return the result of a sweep that is not yet tracked."""
    plan, outcome = done.plan, done.outcome
    cells = _with_earlier_metrics([_cell(done, one) for one in plan.cells], done)
    statuses = [cell.status for cell in cells]
    counts = SweepCounts(
        requested=plan.requested,
        distinct=len(cells),
        reused=statuses.count(CellStatus.REUSED),
        done=statuses.count(CellStatus.DONE),
        failed=statuses.count(CellStatus.FAILED),
    )
    return SweepResult(
        sweep_id=done.sweep.sweep_id,
        store=done.store.root,
        tracking_uri=None,
        load_s=outcome.load_s,
        wall_s=outcome.wall_s,
        metrics_s=done.metrics_s,
        timing_s=outcome.timing_s,
        tracking_s=0.0,
        counts=counts,
        work=_work(plan, outcome),
        cells=tuple(cells),
    )


def _cell(done: Executed, planned: PlannedCell) -> CellResult:
    record = done.outcome.records[planned.cell.cell_id]
    measured = done.measurements.get(record.record_id, ())
    found = cell_result(planned, record, done.store, measured)
    prompts = done.sweep.library.prompt_sets[planned.cell.prompt_set]
    scored = with_skills(found, measured, prompts.skills_of(len(found.images)))
    return with_time(scored, done.outcome.drawn.get(planned.cell.cell_id))


def cell_result(
    planned: PlannedCell, record: Record, store: Store, measurements: Sequence[Measurement] = ()
) -> CellResult:
    """Return the result of one cell of a plan."""
    axes, aliases = dict(planned.cell.axes), [dict(axes) for axes in planned.aliases]
    found = CellResult.of(record, store, axes, aliases, measurements=measurements)
    is_reused = planned.in_store and found.status == CellStatus.DONE
    return replace(found, status=CellStatus.REUSED) if is_reused else found


def with_time(cell: CellResult, taken: DrawingTime | None) -> CellResult:
    """Return a cell with the time that its drawing took; ``None``: it was not drawn now."""
    if taken is None:
        return cell
    return replace(cell, drawn_at=round(taken.began_at, 3), drawn_s=round(taken.duration_s, 4))


def begun_sweep(plan: Plan, sweep: ResolvedSweep) -> BegunSweep:
    """Return the cells that a sweep is about to draw."""
    cells = (
        BegunCell(
            axes=dict(planned.cell.axes),
            aliases=tuple(dict(axes) for axes in planned.aliases),
            records=sweep.keys.record_ids(planned.cell),
        )
        for planned in plan.cells
    )
    return BegunSweep(sweep.sweep_id, plan.requested, tuple(cells))


def _with_earlier_metrics(cells: Sequence[CellResult], done: Executed) -> list[CellResult]:
    """Add the metrics of the sweep's last document that were not measured this time."""
    path = done.store.sweep_files(done.sweep.sweep_id).document
    if not path.exists():
        return list(cells)
    last = {one.record_id: one for one in SweepResult.read(done.store, path).cells}
    return [_with_earlier(one, last.get(one.record_id)) for one in cells]


def _with_earlier(cell: CellResult, last: CellResult | None) -> CellResult:
    if last is None:
        return cell
    is_judged = FLAGGED in cell.metrics or len(last.images) != len(cell.images)
    flags = [one.flagged for one in (cell.images if is_judged else last.images)]
    images = (replace(one, flagged=flag) for one, flag in zip(cell.images, flags, strict=True))
    if cell.drawn_s is None:
        cell = replace(cell, drawn_at=last.drawn_at, drawn_s=last.drawn_s)
    return replace(cell, metrics={**last.metrics, **cell.metrics}, images=tuple(images))


def _work(plan: Plan, outcome: SweepOutcome) -> SweepWork:
    """Return the rows that were computed, and those of all cells alone."""
    return SweepWork(
        unet_rows=RowsDone(plan.unet_rows.alone, outcome.work["unet_rows"]),
        vae_rows=RowsDone(plan.vae_rows.alone, outcome.work["vae_rows"]),
        text_rows=RowsDone(plan.text_rows.alone, outcome.work["text_rows"]),
        source_rows=RowsDone(plan.source_rows.alone, outcome.work["source_rows"])
        if plan.source_rows.alone
        else None,
    )
