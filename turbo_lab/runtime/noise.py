"""One generator per image, and the initial noise drawn from it.

Noise is drawn in fp32 on the CPU, image by image, so that it depends neither
on the device nor on the batch an image is in. The same generators go on to the
scheduler: its step noise continues each image's stream, as in the stock call.
A fresh generator of the same seed would repeat the initial noise instead.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch


def image_generators(seeds: Sequence[int]) -> list[torch.Generator]:
    """Make a fresh CPU generator for each image."""
    return [torch.Generator("cpu").manual_seed(seed) for seed in seeds]


def initial_noise(
    generators: Sequence[torch.Generator],
    shape: tuple[int, int, int],
    dtype: torch.dtype,
    device: torch.device,
) -> torch.Tensor:
    """Draw (N, C, h, w) standard normal noise, the first draw of each generator, as ``dtype``."""
    draws = [
        torch.randn((1, *shape), generator=generator, dtype=torch.float32)
        for generator in generators
    ]
    return torch.cat(draws).to(dtype=dtype).to(device)
