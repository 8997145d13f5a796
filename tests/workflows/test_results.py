"""Measurements of a finished sweep, and its result."""

from __future__ import annotations

from dataclasses import replace

import pytest

from turbo_lab.documents.document import to_document
from turbo_lab.planning.options import MetricOptions
from turbo_lab.request.prompts import PromptSet
from turbo_lab.store.record import CellStatus
from turbo_lab.workflows import results
from turbo_lab.workflows.executed import Executed
from turbo_lab.workflows.settings import resolve_metric_context

NONE = MetricOptions((), "nano-clip", None, None, None, None)


def test_a_result_has_every_cell_in_the_order_of_the_grid(executed: Executed) -> None:
    found = results.sweep_result(executed)
    counts = found.counts
    assert (counts.requested, counts.distinct) == (4, 2)
    assert (counts.done, counts.failed, counts.reused) == (1, 1, 0)
    first, second = found.cells
    assert (first.status, second.status) == (CellStatus.DONE, CellStatus.FAILED)
    assert (first.axes["guidance_scale"], first.aliases[0]["guidance_scale"]) == (0, 1)
    assert first.metrics["clip_score"].value is not None and second.metrics == {}
    assert found.tracking_uri is None and found.sweep_id == executed.sweep.sweep_id
    rows = found.work.unet_rows
    assert (rows.alone, rows.done) == (8, 2), "four points, of which one cell is drawn"
    assert found.load_s > 0 and found.timing_s > 0 and found.metrics_s > 0
    assert first.drawn_s is not None and 0 < first.drawn_s < found.wall_s + found.load_s
    assert first.drawn_at is not None and second.drawn_at is None
    assert first.timing is not None and first.timing.timed_s is not None
    assert first.timing.timed_s > first.timing.first_call_s


def test_a_cell_whose_images_were_there_is_reused(executed: Executed) -> None:
    planned = executed.plan.cells[0]
    record = executed.outcome.records[planned.cell.cell_id]
    assert results.cell_result(planned, record, executed.store).status == CellStatus.DONE
    known = replace(planned, missing=())
    assert known.in_store
    assert results.cell_result(known, record, executed.store).status == CellStatus.REUSED
    failed = executed.plan.cells[1]
    assert (
        results.cell_result(
            replace(failed, missing=()),
            executed.outcome.records[failed.cell.cell_id],
            executed.store,
        ).status
        == CellStatus.FAILED
    )


def test_what_the_store_holds_is_not_measured_again(
    executed_copy: Executed, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, store = executed_copy, executed_copy.store
    context = resolve_metric_context(done.sweep)
    assert context is not None
    records = [one for one in done.outcome.records.values() if one.status == CellStatus.DONE]
    (stored,) = store.measurements(records[0].record_id)
    for batch in (store.root / "batches").glob("*/*/*.png"):
        batch.unlink()  # so that measuring again would fail
    found = results.measure_cells(records, ["clip_score"], context, store)
    assert found == {records[0].record_id: [stored]}
    failed = replace(
        stored, value=None, ci95=None, per_image=None, note="error: no memory", failed=True
    )
    (path,) = store.layout.measurements(records[0].record_id).glob("*.json")
    path.unlink()
    store.write_measurement(records[0].record_id, failed)
    with pytest.raises(Exception, match="png"):
        results.measure_cells(records, ["clip_score"], context, store)


def test_metrics_of_the_last_document_are_kept(executed_copy: Executed) -> None:
    done = executed_copy
    first = results.sweep_result(done)
    path = done.store.sweep_files(first.sweep_id).document
    done.store.write_document(path, to_document("sweep", first))
    again = results.sweep_result(replace(done, measurements={}))
    assert again.cells[0].metrics == first.cells[0].metrics != {}


def test_a_note_names_every_record_that_a_cell_may_get(executed: Executed) -> None:
    begun = results.begun_sweep(executed.plan, executed.sweep)
    assert (begun.sweep_id, begun.requested) == (executed.sweep.sweep_id, 4)
    ids = {one.record_id for one in executed.outcome.records.values()}
    assert {name for cell in begun.cells for name in cell.records} == ids
    split = replace(executed.sweep, options=replace(executed.sweep.options, may_split=True))
    assert [len(cell.records) for cell in results.begun_sweep(executed.plan, split).cells] == [2, 2]


def prompt_set(*texts: str) -> PromptSet:
    return PromptSet("mine", texts, tuple(map(str, range(len(texts)))), "d" * 64, "mine.txt")


def test_scenes_are_retrieved_among_all_scenes() -> None:
    scene = results.metric_context(NONE, []).prompt_set[5]
    some = prompt_set(scene)
    assert len(results.metric_context(NONE, [some]).prompt_set) == 640
    own = prompt_set(scene, "a text of my own", scene)
    assert results.metric_context(NONE, [own]).prompt_set == (scene, "a text of my own")
    assert results.metric_context(NONE, [own]).reference is None
    named = replace(NONE, reference="scenes-heldout", fid_reference="x/mine.safetensors")
    found = results.metric_context(named, [own])
    assert found.reference is not None and found.inception_reference is not None
    assert (found.reference.name, found.inception_reference.name) == ("scenes-heldout", "mine")
