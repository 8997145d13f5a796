"""The calls that the timing lane times."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from diffusers import StableDiffusionXLPipeline

from tests.runtime.tiny import CPU, tiny_batch
from turbo_lab.runtime.determinism import image_lane
from turbo_lab.runtime.exact import ExactStages
from turbo_lab.runtime.seams import SWEEP_SEAMS
from turbo_lab.runtime.stage_clock import STAGES, StageClock
from turbo_lab.runtime.timed_call import TimedCall, exact_call, stock_call


def test_both_calls_draw_the_same_batch_again_and_again(
    pipeline: StableDiffusionXLPipeline, tiny_sdxl_dir: Path
) -> None:
    batch = tiny_batch(tiny_sdxl_dir, guidance=2.0)
    with image_lane(1):
        call = stock_call(pipeline, batch, None, SWEEP_SEAMS)
        first, second = (
            np.stack([np.asarray(one) for one in call().images])  # type: ignore[attr-defined]
            for _ in range(2)
        )
        exact = exact_call(ExactStages(pipeline, CPU, None), batch, None, SWEEP_SEAMS)
        assert np.array_equal(exact(), first) and np.array_equal(exact(), first)
    assert np.array_equal(first, second), "each call has fresh generators"
    assert call.preparation_s == 0


def test_every_stage_of_both_calls_is_timed(
    pipeline: StableDiffusionXLPipeline, tiny_sdxl_dir: Path
) -> None:
    batch = tiny_batch(tiny_sdxl_dir)
    calls = (
        stock_call(pipeline, batch, None, SWEEP_SEAMS),
        exact_call(ExactStages(pipeline, CPU, None), batch, None, SWEEP_SEAMS),
    )
    for call in calls:
        with image_lane(1), StageClock(pipeline, methods=call.methods) as clock:
            call()
        means = clock.means(1, 1.0)
        assert all(means[stage] > 0 for stage in STAGES[:-1])
        assert len(clock.unet_steps(1) or ()) == 2


def test_a_context_is_entered_anew_for_each_call() -> None:
    seen: list[str] = []

    @contextmanager
    def context() -> Iterator[None]:
        seen.append("in")
        yield
        seen.append("out")

    plain = TimedCall(lambda: seen.append("call"), {}, preparation_s=2.0)
    inside = plain.within(context)
    inside()
    inside()
    assert seen == ["in", "call", "out"] * 2
    assert (inside.preparation_s, inside.methods) == (2.0, plain.methods)
    plain()
    assert seen[-1] == "call", "the first call is as it was"
