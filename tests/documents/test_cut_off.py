"""Sweeps that were cut off: their note, and the cells that have a record."""

from __future__ import annotations

from pathlib import Path

import pytest

from turbo_lab.documents.cut_off import BegunCell, BegunSweep, read_sweep_file
from turbo_lab.documents.document import to_document
from turbo_lab.documents.sweep import SweepResult
from turbo_lab.errors import StoreError
from turbo_lab.store.record import CellStatus
from turbo_lab.workflows import results
from turbo_lab.workflows.executed import Executed


def noted(done: Executed) -> BegunSweep:
    """Return the note that the sweep leaves when it begins."""
    return results.begun_sweep(done.plan, done.sweep)


def test_a_note_is_read_as_it_was_written(executed_copy: Executed) -> None:
    store, begun = executed_copy.store, noted(executed_copy)
    store.begin_sweep(begun.sweep_id, begun)
    path = store.layout.sweep(begun.sweep_id).begun
    assert BegunSweep.read(store, path) == begun
    assert read_sweep_file(store, path) == []
    assert begun.requested == 4 and len(begun.cells) == 2


def test_a_document_takes_the_place_of_a_note(executed_copy: Executed) -> None:
    store, result = executed_copy.store, results.sweep_result(executed_copy)
    path = store.sweep_files(result.sweep_id).document
    store.write_document(path, to_document("sweep", result))
    assert SweepResult.read(store, path) == result
    named = [
        file for cell in result.cells for file in (cell.record, *(i.path for i in cell.images))
    ]
    assert read_sweep_file(store, path) == named
    assert named and all(file.is_file() for file in named)


def test_the_cells_with_a_record_are_left(executed: Executed) -> None:
    left = noted(executed).cut_off(executed.store)
    assert left.store == executed.store.root
    assert (left.counts.requested, left.counts.distinct) == (4, 2)
    assert (left.counts.done, left.counts.failed, left.counts.reused) == (1, 1, 0)
    assert [cell.status for cell in left.cells] == [CellStatus.DONE, CellStatus.FAILED]
    assert all(cell.metrics == {} for cell in left.cells)
    assert [len(cell.aliases) for cell in left.cells] == [1, 1]


def test_a_cell_without_a_record_was_not_reached(executed: Executed) -> None:
    begun = noted(executed)
    unknown = BegunCell(axes={"seed": 1}, aliases=(), records=("e" * 64,))
    left = BegunSweep(begun.sweep_id, 9, (begun.cells[0], unknown)).cut_off(executed.store)
    assert (left.counts.requested, left.counts.distinct, len(left.cells)) == (9, 2, 1)


def test_a_record_that_is_done_counts_before_one_that_failed(executed: Executed) -> None:
    done, failed = (
        next(one.record_id for one in executed.outcome.records.values() if one.status == status)
        for status in (CellStatus.DONE, CellStatus.FAILED)
    )
    for records in ((failed, done), (done, failed)):
        left = BegunSweep("a", 1, (BegunCell({}, (), records),)).cut_off(executed.store)
        assert [cell.record_id for cell in left.cells] == [done]


@pytest.mark.parametrize(
    ("begun", "message"),
    [
        (BegunSweep("../a", 1, ()), "sweep_id"),
        (BegunSweep("a", 1, (BegunCell({}, (), ("../../x",)),)), "records"),
    ],
)
def test_ids_that_cannot_name_a_file_are_refused(
    begun: BegunSweep, message: str, executed_copy: Executed
) -> None:
    store = executed_copy.store
    path: Path = store.sweep_files("abc").begun
    store.write_document(path, to_document("begun", begun))
    with pytest.raises(StoreError, match=message):
        BegunSweep.read(store, path)
