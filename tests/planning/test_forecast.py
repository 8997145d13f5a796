"""A forecast is rows times what a row took, and invents nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.planning.cells import make_cell, nothing
from tests.recipes import record
from turbo_lab.documents.plan import Forecast
from turbo_lab.environment import Fingerprint
from turbo_lab.planning.forecast import forecast
from turbo_lab.planning.plan import make_plan
from turbo_lab.request.recipe import Cell
from turbo_lab.store.record import LatencySummary, Timing
from turbo_lab.store.store import Store

KEYS = {"torch": "2.15.0"}
LATENCY = LatencySummary(1.0, 1.0, 1.0, 1.0, None, 8, None)


def timed_store(root: Path, cell: Cell, batch_size: int = 4) -> Store:
    """Return a store with one timing: 0.4 s in the UNet, 0.2 s in the VAE and 0.1 s in text."""
    store = Store(root)
    timed = record(record_id="1" * 64, cell_id=cell.cell_id, recipe=cell.recipe)
    store.write_record(timed)
    timing = Timing(
        cell_id=cell.cell_id,
        batch_size=batch_size,
        latency_s=LATENCY,
        throughput_images_per_s=4.0,
        samples_s=(1.0,),
        stages_s={"text": 0.1, "unet": 0.4, "vae": 0.2, "post": 0.1, "other": 0.2},
        first_call_s=2.0,
        peak_memory_bytes=1000,
        fingerprint=Fingerprint(KEYS, {}),
    )
    store.write_timing(timed.record_id, timing)
    return store


def test_wall_time_is_rows_times_the_cost_of_a_row(tmp_path: Path) -> None:
    store = timed_store(tmp_path / "store", make_cell(steps=1))
    plan = make_plan([make_cell(steps=3, num_images=8)], nothing)
    found = forecast(plan, store, KEYS, "exact")
    # 8 images of 3 UNet rows at 0.1 s, 8 decoded images at 0.05 s, 4 prompts at 0.025 s.
    assert found.wall_s == pytest.approx(8 * 3 * 0.1 + 8 * 0.05 + 4 * 0.025)
    assert found.peak_memory_bytes == 1000


def test_guidance_doubles_the_rows_of_a_timed_cell(tmp_path: Path) -> None:
    store = timed_store(tmp_path / "store", make_cell(steps=2, guidance=2.0))
    plan = make_plan([make_cell(steps=1)], nothing)
    # The timed call had 4 images of 2 steps of 2 rows: 0.025 s each.
    wanted = 4 * 0.025 + 4 * 0.05 + 4 * 0.025
    assert forecast(plan, store, KEYS, "exact").wall_s == pytest.approx(wanted)


def test_a_larger_batch_than_any_that_was_timed_has_no_peak(tmp_path: Path) -> None:
    store = timed_store(tmp_path / "store", make_cell())
    plan = make_plan([make_cell(num_images=8, batch_size=8)], nothing)
    found = forecast(plan, store, KEYS, "exact")
    assert found.peak_memory_bytes is None and found.wall_s is not None


@pytest.mark.parametrize("keys", [{"torch": "2.16.0"}, {}])
def test_timings_of_another_environment_do_not_count(tmp_path: Path, keys: dict[str, str]) -> None:
    store = timed_store(tmp_path / "store", make_cell())
    plan = make_plan([make_cell(steps=2)], nothing)
    assert forecast(plan, store, keys, "exact").wall_s is None


def test_without_work_or_without_a_store() -> None:
    done = make_plan([make_cell()], lambda batch: True)
    assert forecast(done, None, KEYS, "exact") == Forecast(0.0, None, 0)
    assert forecast(make_plan([make_cell()], nothing), None, KEYS, "exact") == Forecast(
        None, None, None
    )
