"""Calls that the timing lane times: one batch by the stock call, or by the exact loop.

Owns the two calls, and which methods of each are its stages. Neither shares work.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from diffusers import StableDiffusionXLPipeline

from turbo_lab.planning.work import WorkDone
from turbo_lab.request.recipe import Batch
from turbo_lab.runtime.exact import ExactStages
from turbo_lab.runtime.sampler import Sampler
from turbo_lab.runtime.seams import Seams
from turbo_lab.runtime.stage_clock import Methods, stock_methods
from turbo_lab.runtime.stock import stock_arguments


@dataclass
class TimedCall:
    """One batch as a call without arguments."""

    call: Callable[[], object]
    """Draws the batch and waits until its images are in the CPU's memory."""
    methods: Methods
    """Methods of its stages."""
    preparation_s: float = 0.0
    """Seconds that the first call was prepared: the proof, and what it captured or compiled."""

    def __call__(self) -> object:
        """Draw the batch."""
        return self.call()

    def within(self, context: Callable[[], AbstractContextManager[object]]) -> TimedCall:
        """Return the same call, made inside a fresh context each time."""

        def call() -> object:
            with context():
                return self.call()

        return replace(self, call=call)


def stock_call(
    pipeline: StableDiffusionXLPipeline, batch: Batch, negative_prompt: str | None, seams: Seams
) -> TimedCall:
    """Return the stock pipeline's own call of a batch."""
    pipeline.scheduler = seams.make_scheduler(batch.recipe.scheduler)
    return TimedCall(
        lambda: pipeline(**stock_arguments(batch, negative_prompt, seams)),
        stock_methods(pipeline),
    )


def exact_call(
    stages: ExactStages, batch: Batch, negative_prompt: str | None, seams: Seams
) -> TimedCall:
    """Return the exact loop's call of a batch."""
    sampler = Sampler(stages.pipeline, stages.device, WorkDone(), seams, stages=stages)
    return TimedCall(
        lambda: sampler.run_alone(batch, negative_prompt),
        {
            "text": (stages, "encode_prompt"),
            "unet": (stages, "unet"),
            "vae": (stages, "decode"),
            "post": (sampler, "to_images"),
        },
    )
