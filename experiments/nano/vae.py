"""Stage ``vae``: an autoencoder of scenes in all three styles."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor

from experiments.nano import loop
from experiments.nano.device import autocast, seeded
from experiments.nano.models import make_vae
from experiments.nano.optim import make_muon
from experiments.nano.world import COLOURS, THINGS, World, pairs

# Shares of noto, flat and ink: the LoRAs' styles must survive the autoencoder.
STYLE_SHARES = (0.6, 0.2, 0.2)


def random_scenes(world: World, count: int, generator: torch.Generator) -> Tensor:
    """(count, 3, 64, 64) in [0, 1]: any thing on any colour, in a style by its share."""
    things = torch.randint(0, len(THINGS), (count,), generator=generator)
    colours = torch.randint(0, len(COLOURS), (count,), generator=generator)
    shares = torch.tensor(STYLE_SHARES)
    style = torch.multinomial(shares, count, replacement=True, generator=generator)
    return world.scenes(things, colours, generator, style)


def psnr(images: Tensor, other: Tensor) -> Tensor:
    """(N,) decibels for images in [-1, 1]."""
    error = ((images - other) / 2).square().mean((1, 2, 3))
    return -10 * error.log10()


@dataclass(frozen=True)
class VaeSettings:
    """What ``conf/stage/vae.yaml`` sets."""

    batch_size: int
    """Rows a step."""
    lr: float
    """Of Muon, at the peak of the schedule."""
    adamw_lr: float
    """Of AdamW: vectors, embeddings and thin kernels."""
    kl_weight: float
    """Weight of the divergence from N(0, 1), a latent value."""
    average: float
    """Decay of the moving average of the weights."""
    bfloat16: bool
    """Autocast of the forward pass."""


class VaeStage:
    """L1 on pixels and on their gradients, and a weak pull of latents to N(0, 1)."""

    def __init__(self, cfg: VaeSettings, world: World) -> None:
        self.cfg, self.world = cfg, world
        self.vae = make_vae()
        self.average = copy.deepcopy(self.vae).requires_grad_(False)
        self.modules = {"vae": self.vae, "average": self.average}
        self.optimizers = {"muon": make_muon([self.vae], cfg.lr, cfg.adamw_lr)}

    def step(self, step: int, generator: torch.Generator) -> dict[str, float]:
        """One update on fresh scenes."""
        images = random_scenes(self.world, self.cfg.batch_size, generator) * 2 - 1
        with autocast(self.cfg.bfloat16):
            moments = self.vae.quant_conv(self.vae.encoder(images)).float()
            mean, log_variance = moments.chunk(2, dim=1)
            log_variance = log_variance.clamp(-20, 10)
            noise = torch.randn(mean.shape, generator=generator)
            latents = mean + torch.exp(0.5 * log_variance) * noise
            decoded = self.vae.decoder(self.vae.post_quant_conv(latents))
        error = decoded.float() - images
        across = (error[..., 1:] - error[..., :-1]).abs().mean()
        down = (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
        loss = error.abs().mean() + across + down + self.cfg.kl_weight * divergence
        loss.backward()
        self.optimizers["muon"].step()
        self.optimizers["muon"].zero_grad()
        loop.update_average(self.average, self.vae, min(self.cfg.average, step / (step + 10)))
        return {"loss": loss.item(), "kl": divergence.item()}

    @torch.no_grad()
    def evaluate(self, step: int) -> dict[str, float]:
        """PSNR of the average's reconstructions, by style, on held-out pairs."""
        figures = {}
        where = torch.tensor(pairs("heldout"))
        for style in self.world.styles:
            generator = seeded(99)
            images = self.world.scenes(where[:, 0], where[:, 1], generator, style) * 2 - 1
            latents = self.average.encode(images).latent_dist.mode()
            decoded = self.average.decode(latents).sample
            figures[f"psnr_{style}"] = psnr(decoded, images).mean().item()
        return figures
