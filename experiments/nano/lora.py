"""Stage ``lora``: a style on ``nano-sdxl``, as a LoRA of its UNet (arXiv:2106.09685).

Owns which layers an adapter touches and how it is stored, for stage ``lcm`` as
well. Trained on scenes of the training pairs in the style, like the teacher.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionXLPipeline
from diffusers.training_utils import _collate_lora_metadata
from peft import LoraConfig, get_peft_model_state_dict
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from experiments.nano.device import seeded
from experiments.nano.models import alphas_cumprod
from experiments.nano.optim import make_muon
from experiments.nano.teacher import Conditioning, denoising_loss

# Convolutions as well: a style is mostly texture, and half of this UNet's weights are kernels.
TARGETS = (
    *("to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out"),
    *("ff.net.0.proj", "ff.net.2", "conv1", "conv2"),
)


def add_lora(unet: Any, rank: int) -> nn.ParameterList:
    """Freeze ``unet``, give it an adapter of scale 1, and return what is to be trained."""
    unet.requires_grad_(False)
    unet.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=list(TARGETS)))
    named = [(name, p) for name, p in unet.named_parameters() if p.requires_grad]
    return nn.ParameterList(p for _, p in sorted(named, key=lambda pair: pair[0]))


def save_lora(unet: Any, folder: Path) -> None:
    """``pytorch_lora_weights.safetensors`` in fp16 with its config, as diffusers saves it."""
    state = {name: value.half() for name, value in get_peft_model_state_dict(unet).items()}
    StableDiffusionXLPipeline.save_lora_weights(
        folder, unet_lora_layers=state, **_collate_lora_metadata({"unet": unet})
    )


@dataclass(frozen=True)
class LoraSettings:
    """What ``conf/stage/lora.yaml`` sets."""

    style: str
    """``flat`` or ``ink``."""
    rank: int
    """Of every adapted layer."""
    batch_size: int
    """Rows a step."""
    lr: float
    """Of Muon, at the peak of the schedule."""
    caption_dropout: float
    """Share of rows whose text is zeros."""


class LoraStage:
    """Denoising in one style; only the adapter learns."""

    def __init__(
        self,
        cfg: LoraSettings,
        teacher: Any,
        latents: Tensor,
        captions: Tensor,
        conditioning: Conditioning,
    ) -> None:
        self.cfg, self.latents, self.captions = cfg, latents, captions
        self.conditioning = conditioning
        self.unet = copy.deepcopy(teacher)
        self.lora = add_lora(self.unet, cfg.rank)
        self.modules = {"lora": self.lora}
        self.optimizers = {"muon": make_muon([self.lora], cfg.lr, cfg.lr)}
        self.alpha_bar = alphas_cumprod()

    def _loss(self, size: int, generator: torch.Generator) -> Tensor:
        chosen = torch.randint(0, len(self.latents), (size,), generator=generator)
        kept = (torch.rand(size, generator=generator) >= self.cfg.caption_dropout).float()
        text = self.conditioning.take(self.captions[chosen], kept)
        latents = self.latents[chosen].float()
        return denoising_loss(self.unet, latents, text, self.alpha_bar, generator)

    def step(self, step: int, generator: torch.Generator) -> dict[str, float]:
        """One update."""
        loss = self._loss(self.cfg.batch_size, generator)
        with sdpa_kernel(SDPBackend.MATH):
            loss.backward()
        self.optimizers["muon"].step()
        self.optimizers["muon"].zero_grad()
        return {"loss": loss.item()}

    @torch.no_grad()
    def evaluate(self, step: int) -> dict[str, float]:
        """The loss on the style with the adapter and, for comparison, without it."""
        with_lora = self._loss(128, seeded(31)).item()
        self.unet.disable_adapters()
        without = self._loss(128, seeded(31)).item()
        self.unet.enable_adapters()
        return {"loss_with": with_lora, "loss_without": without}
