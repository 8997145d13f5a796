"""A worker: which runner draws, what it keeps, and what it puts in the place of a step."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.small_sweeps import small_sweep
from turbo_lab.errors import IncompleteError
from turbo_lab.execute.worker import Worker, worker_for
from turbo_lab.planning.resolved_sweep import ResolvedSweep
from turbo_lab.planning.work import WorkDone
from turbo_lab.runtime.seams import Seams


@pytest.fixture(scope="module")
def sweep(tiny_sdxl_dir: Path) -> ResolvedSweep:
    return small_sweep(tiny_sdxl_dir, "num_inference_steps=1,2", "on_out_of_memory=split")


@pytest.fixture(scope="module")
def loaded(sweep: ResolvedSweep) -> Worker:
    """A worker with the model resident."""
    worker = worker_for(sweep)
    worker.prepare(sweep.cells[0].recipe)
    return worker


@pytest.fixture
def worker(loaded: Worker) -> Worker:
    return loaded.cold()


def draw(worker: Worker, sweep: ResolvedSweep, cell: int = 0) -> np.ndarray:
    return worker.run(sweep.cells[cell].batches[0], None).pixels


def test_a_worker_has_the_options_of_its_sweep(sweep: ResolvedSweep) -> None:
    worker = worker_for(sweep)
    assert (worker.num_threads, worker.share, worker.may_split) == (1, "exact", True)
    assert set(worker.resident.weights.models) == set(sweep.library.models)
    assert worker.resident.device == "cpu" and worker.work == WorkDone()


@pytest.mark.parametrize(("share", "rows"), [("exact", 4), ("none", 6)])
def test_work_of_a_group_is_shared_as_asked(
    share: str, rows: int, worker: Worker, sweep: ResolvedSweep
) -> None:
    """Cells of one and two steps with two images: their first step is the same."""
    worker.share = share
    for cell in (0, 1):
        if share == "none":
            worker.new_group()
        draw(worker, sweep, cell)
    assert worker.work.unet_rows == rows


def test_a_new_group_shares_no_steps_and_keeps_the_text(
    worker: Worker, sweep: ResolvedSweep
) -> None:
    first = draw(worker, sweep)
    texts = worker.work.text_rows
    worker.new_group()
    assert np.array_equal(draw(worker, sweep), first)
    assert (worker.work.unet_rows, worker.work.text_rows) == (4, texts)


def test_a_cold_worker_has_the_same_pipeline_and_has_drawn_nothing(
    worker: Worker, sweep: ResolvedSweep
) -> None:
    draw(worker, sweep)
    seams = Seams(decode=lambda run, latents: -run(latents))
    cold = worker.cold(seams, num_threads=2)
    assert cold.resident is worker.resident and cold.work == WorkDone()
    assert (cold.num_threads, cold.seams) == (2, seams)
    assert worker.cold().seams is worker.seams
    negative = draw(worker.cold(seams), sweep)
    assert np.abs(draw(worker, sweep).astype(int) + negative - 255).max() <= 1


def test_each_stage_is_observed_and_may_be_replaced(worker: Worker, sweep: ResolvedSweep) -> None:
    seen: list[str] = []

    def zeros(stage: str, tensor: torch.Tensor) -> torch.Tensor:
        seen.append(stage)
        return torch.zeros_like(tensor) if stage == "vae" else tensor

    drawn = worker.run(sweep.cells[0].batches[0], None, zeros)
    assert {"noise", "unet.0", "vae"} <= set(seen)
    assert set(np.unique(drawn.pixels)) <= {127, 128}, "zero is grey"


def test_a_librarys_error_fails_the_cell_and_a_bug_goes_on(
    worker: Worker, sweep: ResolvedSweep
) -> None:
    def refuse(run, latents):
        raise RuntimeError("no kernel image")

    with pytest.raises(IncompleteError, match="no kernel image"):
        draw(worker.cold(Seams(decode=refuse)), sweep)


def test_the_thread_count_is_restored(worker: Worker) -> None:
    before = torch.get_num_threads()
    with pytest.raises(RuntimeError, match="inside"), replace(worker, num_threads=3).thread_count():
        assert torch.get_num_threads() == 3
        raise RuntimeError("inside")
    assert torch.get_num_threads() == before


def test_a_cell_is_timed_by_its_first_batch(worker: Worker, sweep: ResolvedSweep) -> None:
    cell = sweep.cells[1]
    found = worker.time_cell(cell, "short", sweep.fingerprint)
    assert (found.cell_id, found.batch_size, found.rule) == (cell.cell_id, 2, "short")
    assert len(found.unet_steps_s or ()) == 2 and len(found.samples_s) >= 6
    assert found.fingerprint == sweep.fingerprint
