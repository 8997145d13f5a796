"""Stage ``teacher``: ``nano-sdxl``, epsilon prediction on cached latents.

Text features are frozen and held-out pairs are never drawn. An image's error
weighs min-SNR-5 (arXiv:2303.09556) but never less than ``MIN_SNR``: what a
caption means is learnt where the noise hides all else, and there plain min-SNR
all but ignores it. Captions are dropped 10% of the time, as zeros, which is
what SDXL's empty negative prompt is.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from experiments.nano import loop
from experiments.nano.device import autocast
from experiments.nano.models import alphas_cumprod, make_unet
from experiments.nano.optim import make_muon

MIN_SNR, MAX_SNR = 0.2, 5.0


@dataclass(frozen=True)
class Conditioning:
    """Frozen text features of all 640 captions."""

    prompt_embeds: Tensor
    """(640, 32, 160)."""
    pooled: Tensor
    """(640, 96)."""

    def take(self, captions: Tensor, kept: Tensor | None = None) -> dict[str, Any]:
        """UNet arguments for (N,) caption indices; rows where ``kept`` is 0 are zeros."""
        embeds, pooled = self.prompt_embeds[captions], self.pooled[captions]
        if kept is not None:
            embeds, pooled = embeds * kept[:, None, None], pooled * kept[:, None]
        time_ids = torch.tensor([[64.0, 64, 0, 0, 64, 64]]).repeat(len(captions), 1)
        return {
            "encoder_hidden_states": embeds,
            "added_cond_kwargs": {"text_embeds": pooled, "time_ids": time_ids},
        }


def add_noise(latents: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    """x_t for (N,) shares of signal."""
    share = alpha_bar[:, None, None, None]
    return share.sqrt() * latents + (1 - share).sqrt() * noise


def predict(unet: Any, noisy: Tensor, timesteps: Tensor, conditioning: dict[str, Any]) -> Tensor:
    """Epsilon in float32; on a CPU the plain attention has by far the faster backward pass."""
    with sdpa_kernel(SDPBackend.MATH), autocast():
        return unet(noisy, timesteps, return_dict=False, **conditioning)[0].float()


def denoising_loss(
    unet: Any,
    latents: Tensor,
    text: dict[str, Any],
    alpha_bar: Tensor,
    generator: torch.Generator,
) -> Tensor:
    """Squared error of epsilon at random timesteps, weighted by the clipped SNR."""
    timesteps = torch.randint(0, 1000, (len(latents),), generator=generator)
    noise = torch.randn(latents.shape, generator=generator)
    share = alpha_bar[timesteps]
    predicted = predict(unet, add_noise(latents, noise, share), timesteps, text)
    snr = share / (1 - share)
    weight = snr.clamp(MIN_SNR, MAX_SNR) / snr
    return ((predicted - noise).square().mean((1, 2, 3)) * weight).mean()


@dataclass(frozen=True)
class TeacherSettings:
    """What ``conf/stage/teacher.yaml`` sets."""

    batch_size: int
    """Rows a step."""
    lr: float
    """Of Muon, at the peak of the schedule."""
    adamw_lr: float
    """Of AdamW: vectors, embeddings and thin kernels."""
    average: float
    """Decay of the moving average of the weights."""
    caption_dropout: float
    """Share of rows whose text is zeros."""


class TeacherStage:
    """Denoising at random timesteps; the average of the weights is what ships."""

    def __init__(
        self, cfg: TeacherSettings, latents: Tensor, captions: Tensor, conditioning: Conditioning
    ) -> None:
        self.cfg, self.latents, self.captions = cfg, latents, captions
        self.conditioning = conditioning
        self.unet = make_unet()
        self.average = copy.deepcopy(self.unet).requires_grad_(False)
        self.modules = {"unet": self.unet, "average": self.average}
        self.optimizers = {"muon": make_muon([self.unet], cfg.lr, cfg.adamw_lr)}
        self.alpha_bar = alphas_cumprod()

    def step(self, step: int, generator: torch.Generator) -> dict[str, float]:
        """One update."""
        size = self.cfg.batch_size
        chosen = torch.randint(0, len(self.latents), (size,), generator=generator)
        kept = (torch.rand(size, generator=generator) >= self.cfg.caption_dropout).float()
        text = self.conditioning.take(self.captions[chosen], kept)
        latents = self.latents[chosen].float()
        loss = denoising_loss(self.unet, latents, text, self.alpha_bar, generator)
        with sdpa_kernel(SDPBackend.MATH):
            loss.backward()
        self.optimizers["muon"].step()
        self.optimizers["muon"].zero_grad()
        loop.update_average(self.average, self.unet, min(self.cfg.average, step / (step + 20)))
        return {"loss": loss.item()}

    def evaluate(self, step: int) -> dict[str, float]:
        """The loss is all that is cheap here; pictures are judged by ``evaluate``."""
        return {}
