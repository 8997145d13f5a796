"""Faults of source images change what they say; test_faults.py shows that goldens catch them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.recipes import RECIPE
from turbo_lab.images import encode_png, pixel_sha256
from turbo_lab.request.recipe import Batch, Layout, lowest_strength
from turbo_lab.trials import source_faults

SOURCES = ("a" * 64, "b" * 64)
LAYOUT = Layout(("a key", "a bell"), (1, 2), SOURCES)


@pytest.mark.parametrize(("total", "steps", "wrong"), [(4, 2, 1), (4, 1, 2), (4, 4, 3), (2, 1, 2)])
def test_the_strength_is_off_by_exactly_one_step(total: int, steps: int, wrong: int) -> None:
    recipe = replace(RECIPE, num_inference_steps=total, strength=lowest_strength(total, steps))
    assert recipe.steps_run == steps
    changed = source_faults.strength_off_by_one(Batch(recipe, LAYOUT))
    assert changed.recipe.steps_run == wrong and changed.layout == LAYOUT


def test_sources_are_swapped_where_there_are_two() -> None:
    batch = Batch(RECIPE, LAYOUT)
    assert source_faults.swapped(batch).layout.sources == SOURCES[::-1]
    assert source_faults.has_two(batch, None)
    assert not source_faults.has_two(Batch(RECIPE, LAYOUT.part(slice(0, 1))), None)


def test_a_tiny_vae_samples_nothing() -> None:
    recipe = replace(RECIPE, strength=0.5, variant=())
    assert source_faults.is_sampled(recipe)
    assert not source_faults.is_sampled(replace(recipe, variant=(("vae", "c" * 64),)))
    assert not source_faults.is_sampled(replace(recipe, strength=None))


def test_a_source_that_is_resized_twice_has_other_pixels_of_the_same_size(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    (tmp_path / "a.png").write_bytes(encode_png(pixels, {}))
    wrong = source_faults.resized_twice().read_source(
        tmp_path / "a.png", pixel_sha256(pixels), (64, 64)
    )
    assert wrong.shape == pixels.shape and not np.array_equal(wrong, pixels)


class Distribution:
    """An encoding of mean 0 and deviation 1."""

    def sample(self, generator: torch.Generator) -> torch.Tensor:
        return torch.randn(3, generator=generator)

    def mode(self) -> torch.Tensor:
        return torch.zeros(3)


class Encoding:
    """What a VAE's encoder returns."""

    def __init__(self) -> None:
        self.latent_dist = Distribution()


def test_another_seed_gives_another_sample_and_leaves_the_generator_where_it_would_be() -> None:
    own, same = (torch.Generator().manual_seed(7) for _ in range(2))
    wrong = source_faults.of_another_seed().encode_source(lambda image: Encoding(), None)
    right = Distribution().sample(same)
    assert not torch.equal(wrong.latent_dist.sample(own), right)
    assert torch.equal(torch.randn(3, generator=own), torch.randn(3, generator=same))


def test_without_sampling_the_encoding_is_its_mean() -> None:
    wrong = source_faults.not_sampled().encode_source(lambda image: Encoding(), None)
    assert torch.equal(wrong.latent_dist.sample(torch.Generator()), torch.zeros(3))
