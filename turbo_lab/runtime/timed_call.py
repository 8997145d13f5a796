"""Calls that the timing lane times: one batch by the stock call, or by the exact loop.

Owns the two calls, and which methods of each are its stages. Neither shares work. Refuses a
batch that is not finite: a time says nothing if there is no image.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import torch
from diffusers import StableDiffusionXLPipeline

from turbo_lab.planning.work import WorkDone
from turbo_lab.request.recipe import Batch
from turbo_lab.runtime.exact import ExactStages
from turbo_lab.runtime.finite import all_finite, refuse_non_finite
from turbo_lab.runtime.image_to_image import SourceReader, no_sources, source_pictures
from turbo_lab.runtime.sampler import Sampler, SharedWork
from turbo_lab.runtime.seams import Seams
from turbo_lab.runtime.stage_clock import Methods, stock_methods
from turbo_lab.runtime.stock import StockSampler, stock_arguments, stock_pipeline
from turbo_lab.runtime.wrapping import wrapped


@dataclass
class TimedCall:
    """One batch as a call without arguments."""

    call: Callable[[], object]
    """Draws the batch and waits until its images are in the CPU's memory."""
    methods: Methods
    """Methods of its stages."""
    preparation_s: float = 0.0
    """Seconds that the first call was prepared: the proof, and what it captured or compiled."""
    first: Callable[[], object] | None = None
    """Makes the first call, which warms up, and raises :class:`NonFiniteError` if its result is
    not finite; ``None``: ``call`` checks that itself, or the first call was made."""

    def __call__(self) -> object:
        """Draw the batch."""
        call, self.first = self.first or self.call, None
        return call()

    def within(self, context: Callable[[], AbstractContextManager[object]]) -> TimedCall:
        """Return the same call, made inside a fresh context each time."""

        def inside(call: Callable[[], object]) -> object:
            with context():
                return call()

        first = None if self.first is None else partial(inside, self.first)
        return replace(self, call=partial(inside, self.call), first=first)


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

    def call() -> object:
        return stock(**stock_arguments(batch, negative_prompt, seams, pictures))

    def first() -> object:
        is_finite: list[torch.Tensor] = []
        with wrapped(pipeline.vae, "decode", partial(_watched, is_finite)):
            images = call()
        if not all(is_finite):
            # Drawn again with every stage kept, to name the first one.
            sampler = StockSampler(pipeline, pipeline.device, WorkDone(), seams, sources)
            sampler.run(batch, negative_prompt, SharedWork())
            refuse_non_finite({}, pipeline, batch.recipe)  # finite in the image lane only
        return images

    return TimedCall(call, stock_methods(stock, has_source=bool(pictures)), first=first)


def _watched(is_finite: list[torch.Tensor], decode: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``decode``, noting whether what it returns is finite; nothing is read yet."""

    def watched(*args: Any, **kwargs: Any) -> Any:
        decoded = decode(*args, **kwargs)
        is_finite.append(all_finite(decoded[0]))
        return decoded

    return watched


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
