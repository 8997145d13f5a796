"""The stages of a stock pipeline's call, without changing the call.

For pipelines of the user's own: methods are wrapped on the instances and put
back afterwards. turbo-lab's own sampler shows its stages itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import wraps
from typing import Any

import numpy as np
import torch

from turbo_lab.runtime.pipeline import call_name


def traced_call(
    pipeline: Any, arguments: Mapping[str, Any]
) -> tuple[np.ndarray, dict[str, torch.Tensor]]:
    """Call ``pipeline(**arguments)``; its images and the tensor of each stage.

    Returns (N, H, W, 3) uint8 RGB and stages by name, in order.
    """
    stages: dict[str, torch.Tensor] = {}
    steps = {"unet": 0, "latents": 0}

    def keep(stage: str, tensor: torch.Tensor) -> None:
        stages[stage] = tensor.detach().clone()

    def on_noise(output: torch.Tensor) -> None:
        keep("noise", output)

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
            (pipeline, "prepare_latents", on_noise),
            (pipeline, "encode_prompt", on_encode),
            (pipeline.unet, call_name(pipeline.unet), on_step("unet")),
            (pipeline.scheduler, "step", on_step("latents")),
            (pipeline.vae, "decode", lambda output: keep("vae", output[0])),
        ):
            stack.callback(_watch(owner, name, watch))
        images = pipeline(**{**arguments, "output_type": "pil"}).images
    return np.stack([np.asarray(image.convert("RGB")) for image in images]), stages


def _watch(owner: Any, name: str, watch: Callable[[Any], None]) -> Callable[[], None]:
    """Wrap a method on the instance; returns what puts it back."""
    own = name in vars(owner)
    method = getattr(owner, name)

    @wraps(method)  # the stock call reads the signature of the scheduler's step
    def watched(*args: Any, **kwargs: Any) -> Any:
        output = method(*args, **kwargs)
        watch(output)
        return output

    def restore() -> None:
        if own:
            setattr(owner, name, method)
        else:
            delattr(owner, name)

    setattr(owner, name, watched)
    return restore
