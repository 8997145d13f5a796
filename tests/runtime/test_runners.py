"""Runners: what is shared, and what happens when memory is short."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionXLPipeline

from tests.runtime.tiny import CPU, LAYOUT, tiny_batch
from turbo_lab.planning.work import WorkDone
from turbo_lab.request.recipe import Layout
from turbo_lab.runtime.determinism import image_lane
from turbo_lab.runtime.runners import BatchedRunner, ExactRunner, StockRunner
from turbo_lab.runtime.sampler import Sampler
from turbo_lab.runtime.seams import pass_on
from turbo_lab.runtime.stock import StockSampler

FOUR = Layout(("a", "b", "c", "d"), (1, 2, 3, 4))


class SmallDevice(Sampler):
    """A sampler on a device that holds so many rows of a UNet call."""

    max_rows = 1

    def evaluate(self, run: Any, model_input: Any, timestep: Any) -> Any:
        if len(model_input) > self.max_rows:
            raise torch.OutOfMemoryError(f"no room for {len(model_input)} rows")
        return super().evaluate(run, model_input, timestep)


class Broken(Sampler):
    """A sampler whose UNet raises something that smaller batches do not mend."""

    def evaluate(self, run: Any, model_input: Any, timestep: Any) -> Any:
        raise RuntimeError("shapes do not match")


@pytest.fixture(autouse=True)
def _deterministic() -> Iterator[None]:
    """Draw in the image lane; a collection of garbage walks through new objects only."""
    gc.freeze()
    with image_lane(1):
        yield
    gc.unfreeze()


def test_equal_work_is_done_once(pipeline: StableDiffusionXLPipeline, tiny_sdxl_dir: Path) -> None:
    runner = ExactRunner(Sampler(pipeline, CPU, WorkDone()), may_split=False)
    prepared: list[int] = []
    runner.prepare = lambda batch, negative: prepared.append(len(batch.layout.seeds))
    one, two = (tiny_batch(tiny_sdxl_dir, steps=steps) for steps in (1, 2))
    first = runner.run(one, None, pass_on)
    assert (first.split, first.notes) == (False, ())
    rows = runner.sampler.work.unet_rows
    runner.run(two, None, pass_on)
    runner.run(tiny_batch(tiny_sdxl_dir, steps=1), None, pass_on)
    assert rows == 3 and runner.sampler.work.unet_rows == 6, "the first step is shared"
    assert prepared == [3, 3, 3]


@pytest.mark.parametrize(
    ("max_rows", "note"),
    [
        (3, "out of memory at 4 images: drawn as 2+2"),
        (1, "out of memory at 4 images: drawn as 1+1+1+1"),
    ],
)
def test_a_batch_that_does_not_fit_is_drawn_in_halves(
    pipeline: StableDiffusionXLPipeline, tiny_sdxl_dir: Path, max_rows: int, note: str
) -> None:
    batch = tiny_batch(tiny_sdxl_dir, FOUR)
    whole = ExactRunner(Sampler(pipeline, CPU, WorkDone()), True).run(batch, None, pass_on)
    small = SmallDevice(pipeline, CPU, WorkDone())
    small.max_rows = max_rows
    with pytest.raises(torch.OutOfMemoryError, match="no room for 4 rows"):
        ExactRunner(small, may_split=False).run(batch, None, pass_on)
    parts = ExactRunner(small, may_split=True).run(batch, None, pass_on)
    assert parts.split and parts.notes == (note,)
    assert np.abs(parts.pixels.astype(int) - whole.pixels).max() <= 1


def test_one_image_that_does_not_fit_fails(
    pipeline: StableDiffusionXLPipeline, tiny_sdxl_dir: Path
) -> None:
    small = SmallDevice(pipeline, CPU, WorkDone())
    small.max_rows = 0
    with pytest.raises(torch.OutOfMemoryError, match="no room for 1 rows"):
        ExactRunner(small, may_split=True).run(tiny_batch(tiny_sdxl_dir, FOUR), None, pass_on)


def test_another_error_is_not_answered_with_halves(
    pipeline: StableDiffusionXLPipeline, tiny_sdxl_dir: Path
) -> None:
    broken = ExactRunner(Broken(pipeline, CPU, WorkDone()), may_split=True)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        broken.run(tiny_batch(tiny_sdxl_dir), None, pass_on)


def test_the_stock_runner_says_why_and_shares_nothing(
    pipeline: StableDiffusionXLPipeline, tiny_sdxl_dir: Path
) -> None:
    work, batch = WorkDone(), tiny_batch(tiny_sdxl_dir)
    runner = StockRunner(StockSampler(pipeline, CPU, work), False, "a watermark")
    found = [runner.run(batch, None, pass_on) for _ in range(2)]
    assert found[0].notes == ("a watermark: drawn by the stock pipeline, nothing shared",)
    assert work.unet_rows == 2 * 2 * 3
    exact = ExactRunner(Sampler(pipeline, CPU, WorkDone()), False).run(batch, None, pass_on)
    assert np.array_equal(found[0].pixels, exact.pixels)


def test_a_group_is_drawn_in_common_passes_within_one_level(
    pipeline: StableDiffusionXLPipeline, tiny_sdxl_dir: Path
) -> None:
    batches = [tiny_batch(tiny_sdxl_dir, guidance=guidance) for guidance in (1.5, 2.0)]
    alone = ExactRunner(Sampler(pipeline, CPU, WorkDone()), False)
    together = BatchedRunner(
        Sampler(pipeline, CPU, WorkDone()), [(batch, None) for batch in batches], False
    )
    for batch in batches:
        here, there = (one.run(batch, None, pass_on).pixels for one in (together, alone))
        assert np.abs(here.astype(int) - there).max() <= 1
    calls = together.sampler.work.unet_calls, alone.sampler.work.unet_calls
    assert calls[0] < calls[1]


def test_common_passes_that_do_not_fit_are_made_smaller(
    pipeline: StableDiffusionXLPipeline, tiny_sdxl_dir: Path
) -> None:
    batches = [tiny_batch(tiny_sdxl_dir, LAYOUT, guidance=guidance) for guidance in (1.5, 2.0)]
    small = SmallDevice(pipeline, CPU, WorkDone())
    small.max_rows = 6
    runner = BatchedRunner(small, [(batch, None) for batch in batches], may_split=True)
    found = runner.run(batches[0], None, pass_on)
    (note,) = found.notes
    assert note.startswith("out of memory: at most ") and note.endswith(" rows a UNet call")
    assert found.pixels.shape == (3, 64, 64, 3) and not found.split
