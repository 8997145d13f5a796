"""Timings of cells, without their samples."""

from __future__ import annotations

from dataclasses import asdict, fields

from turbo_lab.documents.timing import BenchCell, CellTiming
from turbo_lab.store.record import CellStatus
from turbo_lab.workflows.executed import Executed


def timing_of(done: Executed):
    (record,) = (one for one in done.outcome.records.values() if one.status == CellStatus.DONE)
    (timing,) = done.store.timings(record.record_id)
    return timing


def test_a_stored_timing_keeps_all_but_its_samples(executed: Executed) -> None:
    stored = timing_of(executed)
    found = CellTiming.of(stored)
    assert len(stored.samples_s) >= 6 and not hasattr(found, "samples_s")
    assert stored.wall_s is not None
    calls = stored.first_call_s + sum(stored.warmup_s) + stored.wall_s
    assert found.timed_s == calls
    for field in fields(CellTiming):
        if field.name == "timed_s":
            continue
        assert getattr(found, field.name) == getattr(stored, field.name), field.name
    assert found.batch_size == 2 and sum(asdict(found)["stages_s"].values()) > 0


def test_a_cell_has_the_median_and_batch_of_its_timing(executed: Executed) -> None:
    stored = timing_of(executed)
    done = BenchCell(
        {}, CellStatus.DONE, None, stored.latency_s, load_s=1.0, timing=CellTiming.of(stored)
    )
    assert (done.median_s, done.batch_size) == (stored.latency_s.p50, 2)
    failed = BenchCell({}, CellStatus.FAILED, "out of memory", None)
    assert (failed.median_s, failed.batch_size) == (None, None)
