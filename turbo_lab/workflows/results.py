"""Figures and documents of a finished sweep: from the store, and back into it.

Owns which measurements a cell still lacks, and the ``sweep`` and ``bench``
documents. Torch is imported only where a figure is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from turbo_lab.errors import StoreError
from turbo_lab.execute.driver import SweepOutcome
from turbo_lab.identity import DigestCache
from turbo_lab.metrics.context import MetricContext, metric_fingerprints
from turbo_lab.metrics.extractor_source import extractor_source, inception_source
from turbo_lab.metrics.reference_source import ReferenceSource, reference_source
from turbo_lab.planning.options import MetricOptions
from turbo_lab.planning.plan import Plan, PlannedCell
from turbo_lab.planning.resolved_sweep import ResolvedSweep
from turbo_lab.request.prompts import DATA, PromptSet, read_prompts
from turbo_lab.request.recipe import as_plain
from turbo_lab.store.layout import BATCHES, RECORDS
from turbo_lab.store.record import CellStatus, Measurement, Record, Timing
from turbo_lab.store.store import Store, images_of, read_image
from turbo_lab.untrusted.paths import confined

if TYPE_CHECKING:
    from turbo_lab.workflows.sweep import Executed


def metric_context(options: MetricOptions, prompt_sets: Sequence[PromptSet]) -> MetricContext:
    """Return the extractors, references and captions that metrics are measured with."""
    captions = tuple(dict.fromkeys(p for found in prompt_sets for p in found.prompts))
    # Scenes are retrieved among all 640 of them, whichever subset was drawn.
    scenes = read_prompts(DATA / "scenes-all.txt").prompts
    return MetricContext(
        extractor=extractor_source(options.extractor, options.pretrained),
        reference=_reference(options.reference),
        prompt_set=scenes if set(captions) <= set(scenes) else captions,
        inception=inception_source(options.inception),
        inception_reference=_reference(options.fid_reference),
    )


def _reference(name: str | None) -> ReferenceSource | None:
    return None if name is None else reference_source(name)


def measure_cells(
    records: Sequence[Record], names: Sequence[str], context: MetricContext, store: Store
) -> dict[str, list[Measurement]]:
    """Measurements of each record by its id; what the store lacks is taken now.

    A figure that failed before is tried again.
    """
    cache = DigestCache()
    wanted = metric_fingerprints(names, context, cache)
    found: dict[str, list[Measurement]] = {}
    for record in records:
        stored = {(m.name, m.fingerprint): m for m in store.measurements(record.record_id)}
        have = {
            name: stored[name, fingerprint]
            for name, fingerprint in wanted.items()
            if (name, fingerprint) in stored and not _failed(stored[name, fingerprint])
        }
        lacking = [n for n, full in zip(names, wanted, strict=True) if full not in have]
        if lacking:
            have |= {m.name: m for m in _measure(record, lacking, context, store, cache)}
        found[record.record_id] = [have[name] for name in wanted if name in have]
    return found


def _failed(measurement: Measurement) -> bool:
    return measurement.value is None and (measurement.note or "").startswith("error")


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
    measured = measure(pixels, prompts, seeds, names, context, cache=cache, features=FeatureCache())
    for measurement in measured:
        store.write_measurement(record.record_id, measurement)
    return measured


def sweep_values(done: Executed) -> dict[str, Any]:
    """Return the ``sweep`` document, without its header, of a sweep that is not yet tracked."""
    plan, outcome = done.plan, done.outcome
    rows = _cell_rows(done)
    _keep_figures(rows, done.store, done.sweep.sweep_id)
    statuses = [row["status"] for row in rows]
    return {
        "sweep_id": done.sweep.sweep_id,
        "store": str(done.store.root),
        "tracking_uri": None,
        "load_s": outcome.load_s,
        "wall_s": outcome.wall_s,
        "metrics_s": done.metrics_s,
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
        "work": _work_rows(plan, outcome),
        "cells": rows,
    }


def _cell_rows(done: Executed) -> list[dict[str, Any]]:
    """Return the ``cells`` of a sweep document."""
    rows = []
    for planned in done.plan.cells:
        record = done.outcome.records[planned.cell.cell_id]
        found = done.measurements.get(record.record_id, ())
        rows.append(cell_row(planned, record, done.store, found))
    return rows


def cell_row(
    planned: PlannedCell, record: Record, store: Store, measurements: Sequence[Measurement] = ()
) -> dict[str, Any]:
    """One of the ``cells`` of a sweep document."""
    axes, aliases = dict(planned.cell.axes), [dict(axes) for axes in planned.aliases]
    row = _row(record, store, axes, aliases, measurements)
    return (
        row | {"status": CellStatus.REUSED}
        if planned.in_store and row["status"] == CellStatus.DONE
        else row
    )


def _row(
    record: Record,
    store: Store,
    axes: Mapping[str, Any],
    aliases: Sequence[Mapping[str, Any]],
    measurements: Sequence[Measurement],
) -> dict[str, Any]:
    failed = record.status == CellStatus.FAILED
    timing = None if failed else latest_timing(store, record)
    return {
        "cell_id": record.cell_id,
        "record_id": record.record_id,
        "status": record.status,
        "error": record.error,
        "axes": axes,
        "aliases": aliases,
        "parameters": dict(record.parameters),
        "provenance": dict(record.provenance),
        "record": str(store.record_path(record.record_id)),
        "mlflow_run_id": None,
        "metrics": {m.name: _figure(m) for m in measurements},
        "latency_s": None if timing is None else as_plain(timing.latency_s),
        "throughput_images_per_s": None if timing is None else timing.throughput_images_per_s,
        "timing": None if timing is None else timing_row(timing),
        "images": []
        if failed
        else [
            {"path": str(path), "pixel_sha256": pixel, "seed": seed, "prompt": prompt}
            for path, pixel, prompt, seed in images_of(store, record)
        ],
    }


def begun_values(plan: Plan, sweep: ResolvedSweep) -> dict[str, Any]:
    """Return what a sweep is about to make; :func:`cut_off_sweep` reads it."""
    return {
        "sweep_id": sweep.sweep_id,
        "requested": plan.requested,
        "cells": [
            {
                "axes": dict(planned.cell.axes),
                "aliases": [dict(axes) for axes in planned.aliases],
                "records": list(sweep.keys.record_ids(planned.cell)),
            }
            for planned in plan.cells
        ],
    }


def cut_off_sweep(begun: Mapping[str, Any], store: Store) -> dict[str, Any]:
    """Return the ``sweep`` document of a sweep that was cut off.

    Its ``wall_s`` is ``None``, and it has the cells whose records are in the store.
    """
    rows = []
    for cell in begun["cells"]:
        found = [record for name in cell["records"] if (record := store.read_record(name))]
        if found:
            # One that is done counts before one that failed. Metrics are measured at the end of
            # a whole sweep, so there are none.
            record = next((one for one in found if one.status == CellStatus.DONE), found[0])
            rows.append(_row(record, store, cell["axes"], cell["aliases"], ()))
    failed = sum(row["status"] == CellStatus.FAILED for row in rows)
    return {
        "sweep_id": begun["sweep_id"],
        "store": str(store.root),
        "wall_s": None,
        "counts": {
            "requested": begun["requested"],
            "distinct": len(begun["cells"]),
            "failed": failed,
        },
        "cells": rows,
    }


def _keep_figures(rows: Sequence[dict[str, Any]], store: Store, sweep_id: str) -> None:
    """Add to ``rows`` the metrics of the sweep's last document that were not asked for now."""
    path = store.sweep_files(sweep_id).document
    if not path.exists():
        return
    earlier = {row["record_id"]: row["metrics"] for row in store.read_sweep(path)["cells"]}
    for row in rows:
        row["metrics"] = {**earlier.get(row["record_id"], {}), **row["metrics"]}


def latest_timing(store: Store, record: Record) -> Timing | None:
    """The newest run of the timing lane on a cell."""
    timings = store.timings(record.record_id)
    return timings[-1] if timings else None


def timing_row(timing: Timing) -> dict[str, Any]:
    """Return a timing as the ``bench`` document has it, in addition to axes and latency."""
    return {
        "batch_size": timing.batch_size,
        "stages_s": None if timing.stages_s is None else dict(timing.stages_s),
        "throughput_images_per_s": timing.throughput_images_per_s,
        "peak_memory_bytes": timing.peak_memory_bytes,
        "first_call_s": timing.first_call_s,
        "warnings": list(timing.warnings),
        "unet_steps_s": None if timing.unet_steps_s is None else list(timing.unet_steps_s),
        "peaks_bytes": None if timing.peaks_bytes is None else dict(timing.peaks_bytes),
        "conditions": [dict(reading) for reading in timing.conditions],
    }


def _figure(measurement: Measurement) -> dict[str, Any]:
    plain: dict[str, Any] = as_plain(measurement)
    return {k: plain[k] for k in ("value", "unit", "n", "direction", "fingerprint", "ci95", "note")}


def _work_rows(plan: Plan, outcome: SweepOutcome) -> dict[str, dict[str, int]]:
    """Rows alone against rows done."""
    return {
        "unet_rows": {"alone": plan.unet_rows.alone, "done": outcome.work["unet_rows"]},
        "vae_rows": {"alone": plan.vae_rows.alone, "done": outcome.work["vae_rows"]},
        "text_rows": {"alone": plan.text_rows.alone, "done": outcome.work["text_rows"]},
    }


def sheet(values: Mapping[str, Any]) -> bytes:
    """The contact sheet of a sweep document, as PNG."""
    from turbo_lab.report.sheet import SheetCell, draw_sheet

    rows = values["cells"]
    # A cell that stands for several points of the grid is shown at each of them.
    cells = [
        SheetCell(axes, [(Path(i["path"]), i["pixel_sha256"]) for i in row["images"]], row["error"])
        for row in rows
        for axes in (row["axes"], *row["aliases"])
    ]
    prompts = next(([i["prompt"] for i in row["images"]] for row in rows if row["images"]), [])
    fixed = rows[0]["parameters"]
    varied = {name for row in rows for name in row["axes"]}
    named = [
        f"{name} {fixed[name]}"
        for name in ("model", "prompts", "lora", "resolution", "seed")
        if name not in varied and fixed[name] != "none"
    ]
    return draw_sheet(cells, prompts, " · ".join(named))


def move_paths(values: dict[str, Any], root: Path) -> None:
    """Make a sweep document name the files of the store at ``root``, wherever it was made.

    Raises :class:`StoreError` for a record or image that is not a file of its store: what a
    document names is shown and uploaded.
    """
    old, where = str(values["store"]), f"sweep {values['sweep_id']}"
    values["store"] = str(root)
    for row in values["cells"]:
        if row.get("record"):
            row["record"] = _moved(row["record"], old, root, RECORDS, where)
        for entry in row["images"]:
            entry["path"] = _moved(entry["path"], old, root, BATCHES, where)


def _moved(name: Any, old: str, root: Path, kind: str, where: str) -> str:
    """Return the path in ``root/kind`` for one in ``old/kind``."""
    path = PurePath(str(name))
    if not path.is_relative_to(f"{old}/{kind}"):
        raise StoreError(
            f"{where}: {name!a} is not in {kind} of its store ({old}); only files of the "
            "store are read: run the same sweep again"
        )
    relative = path.relative_to(old).as_posix()
    return str(confined(root, relative, where, StoreError, links=False))
