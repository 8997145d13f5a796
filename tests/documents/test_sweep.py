"""The document of a sweep: what a store holds of each cell, read again and moved."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.report.results import cell_result, sweep_result
from turbo_lab.documents.document import to_document
from turbo_lab.documents.sweep import (
    CellResult,
    MetricValue,
    SweepCounts,
    SweepResult,
    fixed_settings,
    image_files,
    latest_timing,
)
from turbo_lab.errors import StoreError
from turbo_lab.images import pixel_sha256, read_png
from turbo_lab.store.record import CellStatus, Record, dump
from turbo_lab.workflows import results
from turbo_lab.workflows.executed import Executed


def record_of(done: Executed, status: CellStatus) -> Record:
    (record,) = (one for one in done.outcome.records.values() if one.status == status)
    return record


@pytest.fixture
def result(executed: Executed) -> SweepResult:
    return results.sweep_result(executed)


def test_a_drawn_cell_shows_what_the_store_holds(executed: Executed) -> None:
    record, store = record_of(executed, CellStatus.DONE), executed.store
    measured = executed.measurements[record.record_id]
    cell = CellResult.of(record, store, {"lora": "none"}, [{"lora": "x@0"}], measured)
    assert (cell.cell_id, cell.record_id, cell.model) == (
        record.cell_id,
        record.record_id,
        "tiny-sdxl",
    )
    assert (cell.axes, cell.aliases) == ({"lora": "none"}, ({"lora": "x@0"},))
    assert cell.record == store.record_path(record.record_id) and cell.record.is_file()
    assert cell.metrics["clip_score"] == MetricValue.of(measured[0])
    (timing,) = store.timings(record.record_id)
    assert cell.latency_s == timing.latency_s and cell.timing is not None
    assert cell.throughput_images_per_s == timing.throughput_images_per_s
    assert [one.seed for one in cell.images] == [0, 1]
    for image in cell.images:
        pixels, _ = read_png(image.path)
        assert pixel_sha256(pixels) == image.pixel_sha256
    assert not cell.is_failed and cell.mlflow_run_id is None


def test_a_failed_cell_has_neither_images_nor_timing(executed: Executed) -> None:
    cell = CellResult.of(record_of(executed, CellStatus.FAILED), executed.store, {})
    assert cell.is_failed and "is for another architecture" in str(cell.error)
    assert (cell.images, cell.timing, cell.latency_s, cell.metrics) == ((), None, None, {})


def test_the_newest_timing_counts(executed_copy: Executed) -> None:
    record, store = record_of(executed_copy, CellStatus.DONE), executed_copy.store
    (first,) = store.timings(record.record_id)
    assert latest_timing(store, record) == first
    store.write_timing(record.record_id, replace(first, rule="full"))
    newest = latest_timing(store, record)
    assert newest is not None and newest == store.timings(record.record_id)[-1]
    assert latest_timing(store, record_of(executed_copy, CellStatus.FAILED)) is None


def test_images_are_in_the_order_of_the_record(executed: Executed) -> None:
    record = record_of(executed, CellStatus.DONE)
    found = image_files(executed.store, record)
    batch = executed.store.read_batch(record.batches[0])
    assert [(one.prompt, one.seed) for one in found] == [(i.prompt, i.seed) for i in batch.images]


def test_a_document_is_read_as_it_was_written(result: SweepResult) -> None:
    values = json.loads(dump(to_document("sweep", result)))
    assert SweepResult.from_document(values, "here") == result


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda values: values | {"sweep_id": "../x"}, "here: sweep_id"),
        (lambda values: values | {"kind": "plan"}, "here"),
        (
            lambda values: values | {"cells": [values["cells"][0] | {"record_id": "/etc/passwd"}]},
            "here: record_id",
        ),
        (lambda values: {k: v for k, v in values.items() if k != "counts"}, "counts"),
    ],
)
def test_a_document_that_names_something_else_is_refused(
    result: SweepResult, change, message: str
) -> None:
    values = change(json.loads(dump(to_document("sweep", result))))
    with pytest.raises(StoreError, match=message):
        SweepResult.from_document(values, "here")


def test_a_document_is_moved_to_the_store_that_it_is_read_from(
    result: SweepResult, executed_copy: Executed
) -> None:
    root = executed_copy.store.root
    assert result.store != root
    moved = result.moved(root)
    assert moved.store == root
    for old, new in zip(result.cells, moved.cells, strict=True):
        assert new.record == root / old.record.relative_to(result.store)
        assert [one.path.read_bytes() for one in new.images] == [
            one.path.read_bytes() for one in old.images
        ]
        assert all(one.path.is_relative_to(root) for one in new.images)
    assert replace(moved, store=result.store, cells=result.cells) == result


def test_a_file_outside_its_store_is_not_moved(result: SweepResult, tmp_path: Path) -> None:
    image = replace(result.cells[0].images[0], path=Path("/etc/passwd"))
    spoilt = replace(result, cells=(replace(result.cells[0], images=(image,)),))
    with pytest.raises(StoreError, match="'/etc/passwd' is not in batches of its store"):
        spoilt.moved(tmp_path)


def test_run_ids_are_those_of_the_records() -> None:
    sweep = sweep_result(None)
    found = sweep.with_run_ids({"a1": "run"}, 0.5)
    assert [cell.mlflow_run_id for cell in found.cells] == [None, "run", None, None]
    assert found.tracking_s == 0.5
    assert replace(found.cells[1], mlflow_run_id=None) == sweep.cells[1]


@pytest.mark.parametrize(
    ("reused", "done", "failed", "words"),
    [
        (0, 3, 1, "3 done, 1 failed"),
        (2, 0, 0, "2 reused"),
        (1, 1, 1, "1 done, 1 reused, 1 failed"),
        (0, 0, 0, ""),
    ],
)
def test_outcomes_are_counted_in_words(reused: int, done: int, failed: int, words: str) -> None:
    counts = SweepCounts(requested=9, distinct=4, reused=reused, done=done, failed=failed)
    assert counts.outcomes == words


def test_settings_that_all_cells_share_are_fixed() -> None:
    cells = [cell_result(i, {"num_inference_steps": i + 1, "seed": 5}, None) for i in range(2)]
    fixed = fixed_settings(cells)
    assert "num_inference_steps" not in fixed and fixed["seed"] == 5
    assert "scheduler" not in fixed, "what is not set is left out"
    assert fixed_settings(cells[:1])["num_inference_steps"] == 1
