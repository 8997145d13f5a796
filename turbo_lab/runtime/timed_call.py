"""Calls that the timing lane times: one batch by the stock call, or by the exact loop.

Owns the two calls, and which methods of each are its stages. Neither shares work.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cache

from diffusers import StableDiffusionXLPipeline

from turbo_lab.planning.work import WorkDone
from turbo_lab.request.recipe import Batch
from turbo_lab.runtime.exact import ExactStages
from turbo_lab.runtime.image_to_image import SourceReader, no_sources, source_pictures
from turbo_lab.runtime.sampler import Sampler
from turbo_lab.runtime.seams import Seams
from turbo_lab.runtime.stage_clock import Methods, stock_methods
from turbo_lab.runtime.stock import stock_arguments, stock_pipeline


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
    pipeline: StableDiffusionXLPipeline,
    batch: Batch,
    negative_prompt: str | None,
    seams: Seams,
    sources: SourceReader = no_sources,
) -> TimedCall:
    """Return the stock pipeline's own call of a batch; its source images are in memory."""
    stock = stock_pipeline(pipeline, batch.recipe, seams.make_scheduler)
    pictures = source_pictures(batch, sources)
    return TimedCall(
        lambda: stock(**stock_arguments(batch, negative_prompt, seams, pictures)),
        stock_methods(stock, has_source=bool(pictures)),
    )


def exact_call(
    stages: ExactStages,
    batch: Batch,
    negative_prompt: str | None,
    seams: Seams,
    sources: SourceReader = no_sources,
) -> TimedCall:
    """Return the exact loop's call of a batch; its source images are in memory."""
    in_memory = cache(sources)
    source_pictures(batch, in_memory)
    sampler = Sampler(
        stages.pipeline, stages.device, WorkDone(), seams, stages=stages, sources=in_memory
    )
    return TimedCall(
        lambda: sampler.run_alone(batch, negative_prompt),
        {
            "text": (stages, "encode_prompt"),
            **({"encode": (stages, "encode")} if batch.layout.sources else {}),
            "unet": (stages, "unet"),
            "vae": (stages, "decode"),
            "post": (sampler, "to_images"),
        },
    )
