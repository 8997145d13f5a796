"""Running a resolved sweep and keeping its results."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.small_sweeps import small_sweep
from turbo_lab.cards import ModelSource
from turbo_lab.documents.sweep import SweepResult
from turbo_lab.images import read_png
from turbo_lab.progress import StderrProgress
from turbo_lab.store.record import CellStatus
from turbo_lab.store.store import Store
from turbo_lab.workflows.executed import Executed
from turbo_lab.workflows.sweep import finish_sweep, run_sweep, run_tracked


def test_a_sweep_leaves_records_measurements_and_timings(executed: Executed) -> None:
    statuses = [one.status for one in executed.outcome.records.values()]
    assert statuses == [CellStatus.DONE, CellStatus.FAILED]
    done, failed = executed.outcome.records.values()
    assert [one.name for one in executed.measurements[done.record_id]] == ["clip_score"]
    assert failed.record_id not in executed.measurements
    assert executed.store.read_record(done.record_id) == done
    assert len(executed.store.timings(done.record_id)) == 1
    assert executed.from_store == 0


def test_a_second_run_takes_everything_from_the_store(
    executed_copy: Executed, progress: StderrProgress
) -> None:
    again = run_sweep(executed_copy.sweep, progress)
    first, second = again.plan.cells
    assert first.in_store and not second.in_store
    assert again.from_store == 2
    assert set(again.outcome.work.values()) == {0}
    assert again.measurements == executed_copy.measurements
    assert len(again.store.timings(next(iter(again.measurements)))) == 1, "it is not timed again"


def test_a_finished_sweep_has_a_document_and_a_sheet(
    executed_copy: Executed, progress: StderrProgress
) -> None:
    finished = finish_sweep(executed_copy, None, progress)
    assert finished.exit_code == 3, "a cell failed"
    assert SweepResult.read(executed_copy.store, finished.document) == finished.result
    sheet = read_png(finished.sheet)[0]
    assert sheet.ndim == 3 and finished.is_tracked
    drawn = finished.sheet.stat().st_mtime_ns
    finish_sweep(executed_copy, None, progress)
    assert finished.sheet.stat().st_mtime_ns == drawn, "it shows the same cells"
    note = executed_copy.store.sweep_files(finished.result.sweep_id).sheet_note
    note.write_text(json.dumps({"content": "another"}))
    finish_sweep(executed_copy, None, progress)
    assert finished.sheet.stat().st_mtime_ns != drawn


def test_a_sweep_is_noted_before_it_draws_and_ends_in_a_document(
    tiny_sdxl_dir: Path, tmp_path: Path, progress: StderrProgress
) -> None:
    sweep = small_sweep(tiny_sdxl_dir, f"store={tmp_path}")
    finished = run_tracked(sweep, progress)
    assert finished.exit_code == 0 and finished.result.tracking_uri is None
    files = Store(tmp_path).sweep_files(sweep.sweep_id)
    assert files.begun.exists() and files.document == finished.document


def test_a_bug_is_raised_once_the_results_are_kept(
    tiny_sdxl_dir: Path, tmp_path: Path, progress: StderrProgress
) -> None:
    sweep = small_sweep(tiny_sdxl_dir, f"store={tmp_path}")
    (key,) = sweep.library.models
    card, files = sweep.library.models[key]
    sweep.library.models[key] = (card, replace(files, source=ModelSource(None)))  # type: ignore[arg-type]
    with pytest.raises(AttributeError):
        run_tracked(sweep, progress)
    (document,) = tmp_path.glob("sweeps/*/sweep.json")
    (cell,) = json.loads(document.read_text())["cells"]
    assert cell["status"] == "failed" and "a bug in turbo-lab: AttributeError" in cell["error"]
