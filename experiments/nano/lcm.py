"""Stage ``lcm``: LCM-LoRA on ``nano-sdxl`` (arXiv:2310.04378, arXiv:2311.05556).

Consistency distillation of the teacher's guided flow: the prediction of x0 at
one of 50 timesteps must be that one step of DDIM further down. The teacher, the
student and the target are one network, with its adapter off, on, and on
without a gradient.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from experiments.nano.lora import add_lora
from experiments.nano.models import alphas_cumprod, make_schedulers
from experiments.nano.sample import Critic, draw
from experiments.nano.teacher import Conditioning, add_noise, predict

GRID = 50
# LCMScheduler's boundary condition: the prediction at t = 0 is the input itself.
SIGMA_DATA = 0.5
TIMESTEP_SCALING = 10.0


@dataclass(frozen=True)
class LcmSettings:
    """What ``conf/stage/lcm.yaml`` sets."""

    rank: int
    """Of every adapted layer."""
    batch_size: int
    """Rows a step."""
    lr: float
    """Of AdamW, at the peak of the schedule."""
    guidance_scale: float
    """Distilled into the adapter, so that it runs without guidance."""
    huber: float
    """Where the loss turns from square to absolute."""


class LcmStage:
    """Only the adapter learns."""

    def __init__(
        self,
        cfg: LcmSettings,
        teacher: Any,
        latents: Tensor,
        captions: Tensor,
        conditioning: Conditioning,
        critic: Critic | None,
    ) -> None:
        self.cfg, self.latents, self.captions = cfg, latents, captions
        self.conditioning, self.critic = conditioning, critic
        self.unet = copy.deepcopy(teacher)
        self.lora = add_lora(self.unet, cfg.rank)
        self.modules = {"lora": self.lora}
        self.optimizers = {"adamw": torch.optim.AdamW(self.lora, cfg.lr, weight_decay=0.0)}
        self.alpha_bar = alphas_cumprod()

    def _ends(self, noisy: Tensor, timesteps: Tensor, text: dict[str, Any]) -> Tensor:
        """The consistency function: x0 by the network, except near t = 0."""
        scaled = (timesteps.float() * TIMESTEP_SCALING)[:, None, None, None]
        keep = SIGMA_DATA**2 / (scaled**2 + SIGMA_DATA**2)
        replace = scaled / (scaled**2 + SIGMA_DATA**2).sqrt()
        share = self.alpha_bar[timesteps][:, None, None, None]
        epsilon = predict(self.unet, noisy, timesteps, text)
        end = (noisy - (1 - share).sqrt() * epsilon) / share.sqrt()
        return keep * noisy + replace * end

    @torch.no_grad()
    def _teacher_step(self, noisy: Tensor, start: Tensor, stop: Tensor, captions: Tensor) -> Tensor:
        """One guided step of DDIM with the adapter off."""
        self.unet.disable_adapters()
        empty = self.conditioning.take(captions, torch.zeros(len(captions)))
        without = predict(self.unet, noisy, start, empty)
        epsilon = predict(self.unet, noisy, start, self.conditioning.take(captions))
        self.unet.enable_adapters()
        epsilon = without + self.cfg.guidance_scale * (epsilon - without)
        share = self.alpha_bar[start][:, None, None, None]
        end = (noisy - (1 - share).sqrt() * epsilon) / share.sqrt()
        return add_noise(end, epsilon, self.alpha_bar[stop])

    def step(self, step: int, generator: torch.Generator) -> dict[str, float]:
        """One update."""
        size = self.cfg.batch_size
        chosen = torch.randint(0, len(self.latents), (size,), generator=generator)
        start = torch.randint(1, GRID + 1, (size,), generator=generator) * (1000 // GRID) - 1
        stop = (start - 1000 // GRID).clamp(min=0)
        latents, captions = self.latents[chosen].float(), self.captions[chosen]
        noise = torch.randn(latents.shape, generator=generator)
        noisy = add_noise(latents, noise, self.alpha_bar[start])
        text = self.conditioning.take(captions)
        nearer = self._teacher_step(noisy, start, stop, captions)
        with torch.no_grad():
            target = self._ends(nearer, stop, text)
        error = (self._ends(noisy, start, text) - target).square()
        huber = self.cfg.huber
        loss = ((error + huber**2).sqrt() - huber).mean()
        with sdpa_kernel(SDPBackend.MATH):
            loss.backward()
        self.optimizers["adamw"].step()
        self.optimizers["adamw"].zero_grad()
        return {"loss": loss.item()}

    def evaluate(self, step: int) -> dict[str, float]:
        """Recall, colour and CLIP score on the held-out captions at 1 and 4 steps."""
        figures: dict[str, float] = {}
        if self.critic is None:
            return figures
        for steps in (1, 4):
            scheduler = make_schedulers()["nano-lcm"]
            captions = self.critic.captions
            latents, _ = draw(self.unet, scheduler, self.conditioning, captions, steps, 0.0, 5)
            judged = self.critic.judge_images(self.critic.decode(latents))
            figures |= {f"{name}_{steps}": value for name, value in judged.items()}
        return figures
