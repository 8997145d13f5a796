"""The stages of a stock pipeline's call, without changing the call.

For pipelines of the user's own: methods are wrapped on the instances and put
back afterwards. turbo-lab's own sampler shows its stages itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial, wraps
from typing import Any

import numpy as np
import torch

from turbo_lab.runtime.wrapping import call_name, wrapped


def traced_call(
    pipeline: Any, arguments: Mapping[str, Any], has_source: bool = False
) -> tuple[np.ndarray, dict[str, torch.Tensor]]:
    """Call ``pipeline(**arguments)`` and return its images and the tensor of each stage.

    Images are (N, H, W, 3) uint8 RGB; stages are by name, in order. ``has_source``: the noise
    is what is added to the latents of source images, which are the stage ``encode``; otherwise
    it is what ``prepare_latents`` returns.
    """
    stages: dict[str, torch.Tensor] = {}
    steps = {"unet": 0, "latents": 0}

    def keep(stage: str, tensor: torch.Tensor) -> None:
        stages[stage] = tensor.detach().clone()

    def on_noise(output: torch.Tensor) -> None:
        keep("noise", output)

    def keep_added(add_noise: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(add_noise)
        def call(latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> Any:
            keep("encode", latents)
            keep("noise", noise)
            return add_noise(latents, noise, timesteps)

        return call

    def on_encode(output: tuple[torch.Tensor, ...]) -> None:
        keep("prompt_embeds", output[0])
        if len(output) > 2:  # Stable Diffusion 1 and 2 have no pooled ones
            keep("pooled_prompt_embeds", output[2])

    def on_step(kind: str) -> Callable[[Any], None]:
        def kept(output: Any) -> None:
            keep(f"{kind}.{steps[kind]}", output[0])
            steps[kind] += 1

        return kept

    with ExitStack() as stack:
        for owner, name, watch in (
            (pipeline, "encode_prompt", on_encode),
            (pipeline.unet, call_name(pipeline.unet), on_step("unet")),
            (pipeline.scheduler, "step", on_step("latents")),
            (pipeline.vae, "decode", lambda output: keep("vae", output[0])),
        ):
            stack.enter_context(wrapped(owner, name, partial(_watched, watch)))
        if has_source:
            stack.enter_context(wrapped(pipeline.scheduler, "add_noise", keep_added))
        else:
            on_output = partial(_watched, on_noise)
            stack.enter_context(wrapped(pipeline, "prepare_latents", on_output))
        images = pipeline(**{**arguments, "output_type": "pil"}).images
    return np.stack([np.asarray(image.convert("RGB")) for image in images]), stages


def _watched(watch: Callable[[Any], None], method: Callable[..., Any]) -> Callable[..., Any]:
    """Return the method with ``watch`` called on each output."""

    @wraps(method)  # the stock call reads the signature of the scheduler's step
    def call(*args: Any, **kwargs: Any) -> Any:
        output = method(*args, **kwargs)
        watch(output)
        return output

    return call
