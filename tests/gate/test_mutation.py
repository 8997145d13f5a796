"""Faults that only a sample shows: each does what it says, and is taken out to the bit."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from turbo_lab.api.sides import compose_side
from turbo_lab.execute.worker import Worker, worker_for
from turbo_lab.gate.mutation import SAMPLE_FAULTS, draw, slower_unet
from turbo_lab.request.recipe import Cell
from turbo_lab.trials.faults import FAULTS

SIX = ["prompts=scenes-demo", "num_images=6", "batch_size=3", "num_threads=1", "tracking=none"]
Drawn = tuple[Worker, Cell, np.ndarray]


@pytest.fixture(scope="module")
def drawn() -> Iterator[Drawn]:
    """Six images in two batches, healthy."""
    sweep = compose_side("gate", "candidate", ["gate=release", "lora=flat@0.8", *SIX])
    worker, cell = worker_for(sweep), sweep.cells[0]
    yield worker, cell, draw(worker, cell)


def faulty(drawn: Drawn, name: str) -> np.ndarray:
    worker, cell, healthy = drawn
    (fault,) = [f for f in SAMPLE_FAULTS if f.name == name]
    images = draw(worker, cell, fault)
    assert np.array_equal(draw(worker, cell), healthy)
    return images


def test_one_in_twenty_is_black_over_all_batches(drawn: Drawn) -> None:
    images = faulty(drawn, "one frame in 20 black")
    assert images[0].max() == 0
    assert np.array_equal(images[1:], drawn[2][1:])


def test_noise_has_its_levels(drawn: Drawn) -> None:
    change = faulty(drawn, "noise of 30 levels").astype(float) - drawn[2]
    inside = (drawn[2] > 100) & (drawn[2] < 155)  # far from both ends, where nothing is clipped
    assert change[inside].std() == pytest.approx(30, rel=0.05)


def test_blur_keeps_the_mean_and_takes_the_detail(drawn: Drawn) -> None:
    images = faulty(drawn, "blurred")
    assert images.mean() == pytest.approx(drawn[2].mean(), abs=2)
    assert np.diff(images.astype(float), axis=2).std() < 0.5 * np.diff(drawn[2], axis=2).std()


def test_a_shuffled_prompt_set_gives_other_images(drawn: Drawn) -> None:
    images = faulty(drawn, "prompt set shuffled")
    assert not any(np.array_equal(a, b) for a, b in zip(images, drawn[2], strict=True))


def test_another_adapter_gives_other_images(drawn: Drawn) -> None:
    images = faulty(drawn, "wrong lora").astype(float)
    assert np.abs(images - drawn[2]).mean() > 3


def test_a_dropped_adapter_draws_what_the_model_draws_alone(drawn: Drawn) -> None:
    worker, cell, healthy = drawn
    (dropped,) = [fault for fault in FAULTS if fault.name == "lora dropped"]
    images = draw(worker, cell, dropped)
    assert not np.array_equal(images, healthy)
    assert np.array_equal(draw(worker, cell), healthy)


def test_a_slower_unet_is_called_twice_and_draws_the_same(drawn: Drawn) -> None:
    worker, cell, healthy = drawn
    worker.prepare(cell.recipe)
    calls: list[int] = []
    unet = worker.resident.pipeline.unet
    hook = unet.register_forward_hook(lambda *_: calls.append(1))
    forward, own = unet.forward, 0

    def counted(*arguments: object, **options: object) -> object:
        nonlocal own
        own += 1
        return forward(*arguments, **options)

    unet.forward = counted
    try:
        with slower_unet(worker.resident.pipeline):
            first = worker.cold().run(cell.batches[0], cell.negative_prompt).pixels
    finally:
        hook.remove()
        del unet.forward
    assert own == 2 * len(calls) == 2
    assert np.array_equal(first, healthy[:3])
