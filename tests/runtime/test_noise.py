"""Noise: one stream per image, whichever batch it is in, and the same bits when uploaded."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from turbo_lab.request.request import MAX_SEED
from turbo_lab.runtime.noise import UploadedNoise, image_generators, initial_noise, upload

CPU = torch.device("cpu")
SHAPE = (4, 8, 8)


@given(st.lists(st.integers(0, MAX_SEED), min_size=1, max_size=4))
def test_an_image_s_noise_does_not_depend_on_its_batch(seeds: list[int]) -> None:
    together = initial_noise(image_generators(seeds), SHAPE, torch.float32, CPU)
    for row, seed in enumerate(seeds):
        alone = initial_noise(image_generators([seed]), SHAPE, torch.float32, CPU)
        assert torch.equal(together[row : row + 1], alone)


def test_noise_is_that_of_diffusers() -> None:
    from diffusers.utils.torch_utils import randn_tensor

    seeds = (1, 2, MAX_SEED)
    theirs = randn_tensor((3, *SHAPE), generator=image_generators(seeds), dtype=torch.float32)
    ours = initial_noise(image_generators(seeds), SHAPE, torch.float32, CPU)
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_noise_of_half_precision_is_float32_rounded(dtype: torch.dtype) -> None:
    full = initial_noise(image_generators([5]), SHAPE, torch.float32, CPU)
    half = initial_noise(image_generators([5]), SHAPE, dtype, CPU)
    assert half.dtype == dtype and torch.equal(half, full.to(dtype))


def test_the_next_draw_of_a_generator_goes_on_with_its_stream() -> None:
    (generator,) = image_generators([3])
    first = initial_noise([generator], SHAPE, torch.float32, CPU)
    second = initial_noise([generator], SHAPE, torch.float32, CPU)
    assert not np.allclose(first, second)


def test_an_upload_to_the_cpu_is_the_tensor_itself() -> None:
    tensor = torch.ones(2)
    assert upload(tensor, CPU) is tensor


def test_draws_of_another_size_are_uploaded_apart() -> None:
    planned = [((1, 2, 3, 3), torch.float64)]
    generators, other = image_generators([1, 2]), image_generators([1, 2])
    noise = UploadedNoise(generators, SHAPE, torch.float32, CPU, planned)
    assert torch.equal(noise.initial, initial_noise(other, SHAPE, torch.float32, CPU))
    with noise:
        drawn = [torch.randn((1, 2, 3, 3), generator=g, dtype=torch.float64) for g in generators]
    wanted = [torch.randn((1, 2, 3, 3), generator=g, dtype=torch.float64) for g in other]
    assert all(torch.equal(*pair) for pair in zip(drawn, wanted, strict=True))
    assert noise.seen == planned


def test_largest_seed_is_the_last_with_a_stream_of_its_own() -> None:
    def draw(seed: int) -> torch.Tensor:
        return torch.randn(4, generator=torch.Generator().manual_seed(seed))

    assert torch.equal(draw(0), draw(MAX_SEED + 1))
    assert not torch.equal(draw(0), draw(MAX_SEED))


def test_uploaded_noise_is_the_stream_that_the_generators_draw() -> None:
    seeds, shape = (1, 2), (4, 8, 8)
    step = ((1, 4, 8, 8), torch.float32)
    generators = image_generators(seeds)
    wanted = [initial_noise(generators, shape, torch.float32, CPU)]
    wanted += [torch.cat([torch.randn(step[0], generator=g) for g in generators]) for _ in range(3)]

    generators = image_generators(seeds)
    noise = UploadedNoise(generators, shape, torch.float32, CPU, [step] * 2)
    drawn = [noise.initial]
    for _ in range(3):  # the last one is not planned
        with noise:
            drawn.append(torch.cat([torch.randn(step[0], generator=g) for g in generators]))
    assert all(torch.equal(*pair) for pair in zip(drawn, wanted, strict=True))
    other = torch.Generator().manual_seed(9)
    with noise:
        assert torch.equal(
            torch.randn(3, generator=other), torch.randn(3, generator=torch.manual_seed(9))
        )
