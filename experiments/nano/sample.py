"""Drawing with a network in training, and judging what it drew.

For progress only: the figures on the cards come from ``evaluate``, through the
stock pipeline.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from experiments.nano.device import autocast, seeded
from experiments.nano.models import normalise_for_judge
from experiments.nano.teacher import Conditioning
from experiments.nano.world import COLOURS, pairs


@torch.no_grad()
def draw(
    unet: Any,
    scheduler: Any,
    conditioning: Conditioning,
    captions: Tensor,
    num_inference_steps: int,
    guidance_scale: float,
    seed: int,
    keep: Sequence[int] = (),
) -> tuple[Tensor, dict[int, Tensor]]:
    """(N, 4, 16, 16) latents, and the scaled inputs at the timesteps in ``keep``."""
    generator = seeded(seed)
    with torch.device("cpu"):  # numpy reads what set_timesteps makes
        scheduler.set_timesteps(num_inference_steps)
    latents = torch.randn(len(captions), 4, 16, 16, generator=generator)
    latents = latents * scheduler.init_noise_sigma
    text = conditioning.take(captions)
    empty = conditioning.take(captions, torch.zeros(len(captions)))
    kept = {}
    options = (
        {} if type(scheduler).__name__ == "EulerDiscreteScheduler" else {"generator": generator}
    )
    for timestep in scheduler.timesteps:
        model_input = scheduler.scale_model_input(latents, timestep)
        if round(float(timestep)) in keep:
            kept[round(float(timestep))] = model_input
        with autocast():
            predicted = unet(model_input, timestep, return_dict=False, **text)[0].float()
            if guidance_scale > 1:
                without = unet(model_input, timestep, return_dict=False, **empty)[0].float()
                predicted = without + guidance_scale * (predicted - without)
        latents = scheduler.step(predicted, timestep, latents, return_dict=False, **options)[0]
    return latents, kept


class Critic:
    """Recall, colour and distance of drawings of the held-out captions."""

    def __init__(self, vae: Any, scaling_factor: float, judge: Any, judge_ids: Tensor) -> None:
        self.vae, self.scaling_factor, self.judge = vae, scaling_factor, judge
        self.held_out = torch.tensor(pairs("heldout"))
        self.captions = self.held_out[:, 0] * len(COLOURS) + self.held_out[:, 1]
        with torch.no_grad():
            self.texts = functional.normalize(judge.encode_text(judge_ids), dim=-1)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """(N, 3, 64, 64) in [0, 1]."""
        parts = [self.vae.decode(part / self.scaling_factor).sample for part in latents.split(32)]
        return (torch.cat(parts) / 2 + 0.5).clamp(0, 1)

    @torch.no_grad()
    def judge_images(self, images: Tensor) -> dict[str, float]:
        """Figures of one image a held-out caption, in their order."""
        features = self.judge.encode_image(normalise_for_judge(images))
        scores = functional.normalize(features, dim=-1) @ self.texts.T
        right = scores.argmax(1) == self.captions
        palette = torch.tensor(list(COLOURS.values())) / 255
        nearest = (border_colour(images)[:, None] - palette).square().sum(-1).argmin(1)
        return {
            "recall": right.float().mean().item(),
            "colour": (nearest == self.held_out[:, 1]).float().mean().item(),
            "clip": scores[torch.arange(len(scores)), self.captions].mean().item(),
        }


def border_colour(images: Tensor) -> Tensor:
    """(N, 3): the median colour of the outermost two pixels of (N, 3, H, W)."""
    edge = torch.cat(
        [
            images[:, :, :2].flatten(2),
            images[:, :, -2:].flatten(2),
            images[..., :2].flatten(2),
            images[..., -2:].flatten(2),
        ],
        dim=2,
    )
    return edge.median(dim=2).values
