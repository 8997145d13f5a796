"""One generator per image, and the noise drawn from it.

Noise is drawn in fp32 on the CPU, image by image, so that it depends neither
on the device nor on the batch an image is in. The same generators go on to the
scheduler: its step noise continues each image's stream, as in the stock call.
A fresh generator of the same seed would repeat the initial noise instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

Draw = tuple[tuple[int, ...], torch.dtype]
"""Shape and type of one draw for one image."""


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


def upload(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return a CPU tensor on ``device``, without waiting for what the device does."""
    if device.type == "cpu":
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True)


class UploadedNoise(TorchFunctionMode):
    """All noise of one batch, drawn and uploaded at once.

    Within this context, each draw of a scheduler's step returns rows that are already
    on the device; without it, the step would draw on the CPU and wait for the upload. A
    draw that was not planned is made as usual, from the same generator, so that the plan
    never decides what is drawn.
    """

    def __init__(
        self,
        generators: Sequence[torch.Generator],
        shape: tuple[int, int, int],
        dtype: torch.dtype,
        device: torch.device,
        planned: Sequence[Draw],
    ) -> None:
        super().__init__()
        self.seen: list[Draw] = []
        """Draws that the first image's generator was asked for so far."""
        self._generators = list(generators)
        self._next = [0] * len(self._generators)
        initial = initial_noise(self._generators, shape, dtype, torch.device("cpu"))
        drawn = [self._draw(shape, dtype) for shape, dtype in planned]
        if all((own.shape, own.dtype) == (initial.shape, dtype) for own in drawn):
            parts = list(upload(torch.stack([initial, *drawn]), device))
        else:
            parts = [upload(own, device) for own in (initial, *drawn)]
        self.initial = parts[0]
        """(N, C, h, w), as :func:`initial_noise` draws it."""
        self._steps = parts[1:]

    def _draw(self, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        rows = [torch.randn(shape, generator=own, dtype=dtype) for own in self._generators]
        return torch.cat(rows)

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        generator = kwargs.get("generator")
        if func is not torch.randn or generator is None:
            return func(*args, **kwargs)
        row = next((i for i, own in enumerate(self._generators) if own is generator), None)
        if row is None:
            return func(*args, **kwargs)
        index = self._next[row]
        self._next[row] += 1
        draw = (tuple(args[0]), kwargs.get("dtype") or torch.get_default_dtype())
        if row == 0:
            self.seen.append(draw)
        if index >= len(self._steps):
            return func(*args, **kwargs)
        found = self._steps[index][row : row + 1]
        assert (tuple(found.shape), found.dtype) == draw, "the same work draws the same noise"
        return found
