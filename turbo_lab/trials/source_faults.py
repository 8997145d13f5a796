"""Faults of image to image: what goes wrong between a source image and the first step.

Owns how each mistake is put into a run. :mod:`turbo_lab.trials.faults` lists them among the others.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from turbo_lab import images
from turbo_lab.request.recipe import Batch, Recipe, lowest_strength
from turbo_lab.request.source import Size
from turbo_lab.runtime import seams
from turbo_lab.runtime.seams import Seams


def not_used() -> Seams:
    """Begin from noise alone: nothing of the source image is in the first latents."""

    def wrong(scheduler: str) -> Any:
        made = seams.make_scheduler(scheduler)
        add_noise = made.add_noise

        def without(latents: Any, noise: Any, timesteps: Any) -> Any:
            return add_noise(latents * 0, noise, timesteps)

        made.add_noise = without
        return made

    return Seams(make_scheduler=wrong)


def resized_twice() -> Seams:
    """Enlarge a source from half its size, as if a thumbnail were read."""

    def wrong(path: Path, digest: str, size: Size) -> Any:
        pixels, _ = images.read_photo(path)
        return images.fit(images.fit(pixels, size[0] // 2, size[1] // 2), *size)

    return Seams(read_source=wrong)


def of_another_seed() -> Seams:
    """Draw the sample of a source's encoding from another generator than the image's."""

    def wrong(run: Callable[[Any], Any], image: Any) -> Any:
        import torch

        encoding = run(image)
        sample = encoding.latent_dist.sample

        def other(generator: Any = None) -> Any:
            sample(generator)  # the image's own generator advances all the same
            return sample(torch.Generator().manual_seed(0))

        encoding.latent_dist.sample = other
        return encoding

    return Seams(encode_source=wrong)


def not_sampled() -> Seams:
    """Take the mean of a source's encoding; the stock call draws a sample from it."""

    def wrong(run: Callable[[Any], Any], image: Any) -> Any:
        encoding = run(image)
        encoding.latent_dist.sample = lambda generator=None: encoding.latent_dist.mode()
        return encoding

    return Seams(encode_source=wrong)


def is_sampled(recipe: Recipe) -> bool:
    """Return whether the VAE draws a sample from a source's encoding; a tiny one does not."""
    return recipe.strength is not None and not any(key == "vae" for key, _ in recipe.variant)


def strength_off_by_one(batch: Batch) -> Batch:
    """Run one step less from the source, or one more if there is only one."""
    recipe = batch.recipe
    wrong = recipe.steps_run - 1 if recipe.steps_run > 1 else recipe.steps_run + 1
    strength = lowest_strength(recipe.num_inference_steps, wrong)
    return dataclasses.replace(batch, recipe=dataclasses.replace(recipe, strength=strength))


def swapped(batch: Batch) -> Batch:
    """Give each row the source image of another."""
    layout = batch.layout
    sources = layout.sources[::-1]
    return dataclasses.replace(batch, layout=dataclasses.replace(layout, sources=sources))


def has_two(batch: Batch, negative: str | None) -> bool:
    """Return whether :func:`swapped` changes a batch."""
    return batch.layout.sources != batch.layout.sources[::-1]
