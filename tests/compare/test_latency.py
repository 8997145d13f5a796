"""Latency of a grid, and which sides can be timed against each other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.small_sweeps import misfit, small_sweep
from turbo_lab.compare.latency import (
    check_same_calls,
    check_same_run,
    pair_result,
    time_cells,
    time_sides,
)
from turbo_lab.errors import InputError
from turbo_lab.planning.resolved_sweep import ResolvedSweep, vary
from turbo_lab.runtime.paired_timing import PairedEnergy, PairedTiming
from turbo_lab.store.record import CellStatus
from turbo_lab.store.store import Store


@pytest.fixture(scope="module")
def sweep(tiny_sdxl_dir: Path) -> ResolvedSweep:
    """A sweep of one cell with two images per call, timed."""
    return small_sweep(tiny_sdxl_dir, "timing=short")


def changed(sweep: ResolvedSweep, **options: Any) -> ResolvedSweep:
    return replace(sweep, options=replace(sweep.options, **options))


@pytest.mark.parametrize(
    ("baseline", "candidate", "message"),
    [
        ({}, {"num_threads": 2}, "num_threads is 1 for the baseline and 2 for the candidate"),
        ({}, {"device": "cuda"}, "device is cpu for the baseline and cuda for the candidate"),
        ({"timing": "full"}, {}, "timing is full for the baseline and short for the candidate"),
        ({"timing": None}, {}, "timing=off: this command times cells"),
        ({}, {"timing": None}, "timing=off: this command times cells"),
    ],
)
def test_sides_of_one_run_share_device_threads_and_timing(
    baseline: dict[str, Any], candidate: dict[str, Any], message: str, sweep: ResolvedSweep
) -> None:
    with pytest.raises(InputError, match=message):
        check_same_run("bench pair", changed(sweep, **baseline), changed(sweep, **candidate))


def test_calls_that_compare_draw_as_many_images(sweep: ResolvedSweep) -> None:
    one = vary(sweep, lambda request: replace(request, num_images=1))
    with pytest.raises(
        InputError,
        match="gate: a call draws 2 images for the baseline and 1 for the candidate; .* batch_size",
    ):
        check_same_calls("gate", sweep, one)
    with pytest.raises(InputError, match="gate: num_threads is 1 .* pass num_threads once"):
        check_same_calls("gate", sweep, changed(sweep, num_threads=2))
    # More calls of the same size are as good, and so are other steps.
    more = vary(sweep, lambda request: replace(request, num_images=4, num_inference_steps=2))
    check_same_calls("gate", sweep, more)
    check_same_run("gate", sweep, more)


def test_every_cell_is_timed_and_one_that_does_not_fit_fails(
    tiny_sdxl_dir: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    sweep = small_sweep(
        tiny_sdxl_dir, f"lora=none,{misfit(tmp_path)}", "timing=short", f"store={store}"
    )
    done, failed = time_cells(sweep).cells
    assert (done.status, failed.status) == (CellStatus.DONE, CellStatus.FAILED)
    assert "wide.safetensors: is for another architecture" in str(failed.error)
    assert failed.latency_s is None and failed.batch_size is None
    assert done.batch_size == 2 and done.median_s is not None and done.median_s > 0
    assert done.load_s is not None and done.load_s > 0
    written = Store(store).timings(sweep.keys.record_id(sweep.cells[0]))
    assert [one.latency_s for one in written] == [done.latency_s]
    assert not list((store / "batches").glob("*/*")), "no image is kept"


def test_two_sides_are_timed_in_turns(sweep: ResolvedSweep) -> None:
    found = time_sides(sweep, changed(sweep), num_pairs=8)
    assert len(found.blocks_a_s) == len(found.blocks_b_s) == 8
    assert min(*found.blocks_a_s, *found.blocks_b_s) > 0
    assert found.energy is None


def test_a_pair_says_how_many_images_a_call_of_each_side_draws() -> None:
    blocks = (0.5,) * 8
    timing = PairedTiming(
        ratio=2.0,
        ci95=(1.9, 2.1),
        noise_ci95=(0.99, 1.01),
        noise_ratio=1.0,
        a_s=0.5,
        b_s=1.0,
        blocks_a_s=blocks,
        blocks_b_s=(1.0,) * 8,
        calls_a_block=1,
        warnings=(),
        energy=PairedEnergy((8.0,) * 8, (32.0,) * 8, "counter"),
    )
    result = pair_result(timing, (4, 8), ["batch_size=4"], candidate_words=["batch_size=8"])
    assert result.images_per_call == (4, 8) and result.energy is not None
    assert result.energy.baseline_joules_per_image == 2.0
    assert result.energy.candidate_joules_per_image == 4.0
