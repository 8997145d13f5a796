"""A sweep's result with all that reports read: four cells, one of them failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.recipes import PARAMETERS, RECIPE, record
from turbo_lab.documents.document import to_document
from turbo_lab.documents.sweep import (
    CellResult,
    ImageFile,
    MetricValue,
    RowsDone,
    SweepCounts,
    SweepResult,
    SweepWork,
)
from turbo_lab.documents.timing import CellTiming
from turbo_lab.environment import Fingerprint
from turbo_lab.images import encode_png, pixel_sha256
from turbo_lab.store.provenance import Provenance, SourceOrigin, WeightsOrigin
from turbo_lab.store.record import (
    CellStatus,
    EnergySummary,
    LatencySummary,
    Measurement,
    document,
    dump,
)
from turbo_lab.store.store import Store
from turbo_lab.verdict import Direction

MADE_FROM = Provenance(
    models={"nano-turbo": WeightsOrigin("d" * 64, None, "Apache-2.0", "card.json")},
    adapters={},
    prompt_sets={"demo": "e" * 64},
    git=None,
)
TIMING = CellTiming(
    batch_size=4,
    stages_s=None,
    throughput_images_per_s=1.0,
    peak_memory_bytes=1,
    first_call_s=1.0,
    warnings=(),
    unet_steps_s=None,
    peaks_bytes=None,
    conditions=(),
)

ENERGY = EnergySummary(12.3, (11.9, 12.8), 9, "counter", (100.0,) * 9)


def metric_value(
    value: float | None,
    direction: Direction,
    ci95: tuple[float, float] | None = None,
    note: str | None = None,
) -> MetricValue:
    return MetricValue(value, "1", 8, direction, "f" * 64, ci95, note)


def latency(p50: float) -> LatencySummary:
    return LatencySummary(mean=0.1, p50=p50, p90=0.2, p95=0.2, p99=None, n=6, ci95=None)


def cell_result(
    index: int, axes: Mapping[str, object], folder: Path | None, error: str | None = None
) -> CellResult:
    """Return one cell, with four images if there is a folder for them."""
    done = error is None
    score = metric_value(
        0.5 + 0.1 * index, Direction.HIGHER, (0.4 + 0.1 * index, 0.6 + 0.1 * index)
    )
    distance = metric_value(9.0 - index, Direction.LOWER, None, "too few")
    return CellResult(
        cell_id=f"c{index}",
        record_id=f"a{index}",
        status=CellStatus.DONE if done else CellStatus.FAILED,
        error=error,
        axes=axes,
        aliases=(),
        parameters=replace(PARAMETERS, **axes),
        provenance=MADE_FROM,
        record=(folder or Path("/store")) / f"record-{index}.json",
        mlflow_run_id=None,
        metrics={"clip_score": score, "fd/nano-clip": distance} if done else {},
        latency_s=latency(0.1 * (index + 1)) if done else None,
        throughput_images_per_s=10.0 / (index + 1) if done else None,
        timing=TIMING if done else None,
        images=_images(index, folder) if done and folder is not None else (),
    )


def _images(index: int, folder: Path) -> tuple[ImageFile, ...]:
    found = []
    for row in range(4):
        path = folder / f"{index}-{row}.png"
        shade = np.full((64, 64, 3), 40 * index + 10 * row, np.uint8)
        path.write_bytes(encode_png(shade, {}))
        found.append(ImageFile(path, pixel_sha256(shade), row, f"p <{row}>"))
    return tuple(found)


def sweep_result(folder: Path | None) -> SweepResult:
    """Return two steps by two guidances, with images if there is a folder for them."""
    if folder is not None:
        for index, steps in enumerate((1, 1, 2, 2)):
            recipe = replace(RECIPE, num_inference_steps=steps, guidance_scale=index % 2 * 2.0)
            made = record(record_id=f"a{index}", recipe=recipe, fingerprint=STORE_FINGERPRINT)
            (folder / f"record-{index}.json").write_text(dump(document("record", made)))
    cells = (
        cell_result(0, {"num_inference_steps": 1, "guidance_scale": 0}, folder),
        cell_result(1, {"num_inference_steps": 1, "guidance_scale": 2}, folder),
        cell_result(2, {"num_inference_steps": 2, "guidance_scale": 0}, folder, "out of memory"),
        cell_result(3, {"num_inference_steps": 2, "guidance_scale": 2}, folder),
    )
    rows = RowsDone(alone=10, done=6)
    return SweepResult(
        sweep_id="abc",
        store=Path("/store"),
        tracking_uri=None,
        load_s=1.0,
        wall_s=2.0,
        metrics_s=0.0,
        timing_s=0.0,
        tracking_s=0.0,
        counts=SweepCounts(requested=5, distinct=4, reused=0, done=3, failed=1),
        work=SweepWork(rows, rows, rows),
        cells=cells,
    )


def with_cell(sweep: SweepResult, index: int, **changes: object) -> SweepResult:
    """Return a sweep with other fields in one of its cells."""
    cells = list(sweep.cells)
    cells[index] = replace(cells[index], **changes)  # type: ignore[arg-type]
    return replace(sweep, cells=tuple(cells))


def with_sources(sweep: SweepResult, folder: Path, shades: Mapping[str, int]) -> SweepResult:
    """Return a sweep whose images begin in turn from flat files of these names and shades."""
    sources: dict[str, SourceOrigin] = {}
    for name, shade in shades.items():
        pixels = np.full((64, 64, 3), shade, np.uint8)
        (folder / name).write_bytes(encode_png(pixels, {}))
        origin = SourceOrigin(name, folder / name, 64, 64, "center crop, Lanczos")
        sources[pixel_sha256(pixels)] = origin
    digests = list(sources)
    cells = (
        replace(
            cell,
            provenance=replace(cell.provenance, sources=sources),
            images=tuple(
                replace(image, source=digests[row % len(digests)])
                for row, image in enumerate(cell.images)
            ),
        )
        for cell in sweep.cells
    )
    return replace(sweep, cells=tuple(cells))


def with_metric(cell: CellResult, name: str, **changes: object) -> CellResult:
    """Return a cell with other fields in one of its metrics."""
    changed = replace(cell.metrics[name], **changes)  # type: ignore[arg-type]
    return replace(cell, metrics={**cell.metrics, name: changed})


STORE_FINGERPRINT = Fingerprint({"torch": "2.15.0"}, {})


def sweep_of(store: Store, images: Path | None) -> SweepResult:
    """Return a sweep whose paths are as a store has them."""
    sweep = sweep_result(images)
    where = store.root / "records" / "record.json"
    cells = tuple(replace(cell, record=where) for cell in sweep.cells)
    return replace(sweep, store=store.root, cells=cells)


def store_with_sweeps(root: Path, *names: str) -> Store:
    """Return a store with a sweep of each name, their images and one measured cell."""
    store = Store(root)
    images = store.root / "batches"
    images.mkdir()
    sweep = sweep_of(store, images)
    for name in names:
        path = store.sweep_files(name).document
        store.write_document(path, to_document("sweep", replace(sweep, sweep_id=name)))
    store.write_record(record(record_id="a0", cell_id="c0", fingerprint=STORE_FINGERPRINT))
    for fingerprint, value in (("f" * 64, 0.5), ("e" * 64, 0.9)):
        score = Measurement(
            "clip_score", value, "1", 4, "higher", fingerprint, None, per_image=(value,) * 4
        )
        store.write_measurement("a0", score)
    return store
