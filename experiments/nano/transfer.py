"""Stage ``transfer``: a style that keeps its things on the teacher *and* on ``nano-turbo``.

An adapter trained on the teacher alone draws its style on the student, which was
distilled without it, and loses the thing. Here both networks hold the same
adapter: the teacher goes on denoising scenes in the style, and the student learns
where the styled teacher's guided flow ends, as it did without a style.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from experiments.nano.lora import add_lora
from experiments.nano.models import alphas_cumprod, make_schedulers
from experiments.nano.optim import make_muon
from experiments.nano.sample import Critic, draw
from experiments.nano.teacher import Conditioning, denoising_loss
from experiments.nano.turbo import charbonnier, flow_batch, predict_ends


@dataclass(frozen=True)
class TransferSettings:
    """What ``conf/stage/transfer.yaml`` sets."""

    style: str
    """``flat`` or ``ink``; starts from the adapter of stage ``lora-STYLE``."""
    rank: int
    """Of that adapter."""
    batch_size: int
    """Rows a step of either network."""
    lr: float
    """Of Muon, at the peak of the schedule."""
    caption_dropout: float
    """Share of the teacher's rows whose text is zeros."""
    distillation_weight: float
    """Of the student's error, beside the teacher's."""
    flows: int
    """Recorded flows of the styled teacher."""
    flow_guidance_scale: float
    """Guidance of the recorded flows."""


def share_adapter(styled: Any, student: Any, rank: int) -> nn.ParameterList:
    """Give ``student`` the very parameters of the adapter on ``styled``, and return them."""
    add_lora(student, rank)
    names = sorted(name for name, _ in styled.named_parameters() if ".lora_" in name)
    for name in names:
        owner, _, leaf = name.rpartition(".")
        setattr(student.get_submodule(owner), leaf, styled.get_parameter(name))
    return nn.ParameterList(styled.get_parameter(name) for name in names).requires_grad_(True)


class TransferStage:
    """One adapter, two networks; only the adapter learns."""

    def __init__(
        self,
        cfg: TransferSettings,
        styled: Any,
        student: Any,
        flows: dict[str, Tensor],
        latents: Tensor,
        captions: Tensor,
        conditioning: Conditioning,
        critic: Critic,
    ) -> None:
        self.cfg, self.styled, self.student, self.flows = cfg, styled, student, flows
        self.latents, self.captions = latents, captions
        self.conditioning, self.critic = conditioning, critic
        self.lora = share_adapter(styled, student, cfg.rank)
        self.modules = {"lora": self.lora}
        self.optimizers = {"muon": make_muon([self.lora], cfg.lr, cfg.lr)}
        self.alpha_bar = alphas_cumprod()

    def step(self, step: int, generator: torch.Generator) -> dict[str, float]:
        """One update from a batch of scenes and a batch of flows."""
        size = self.cfg.batch_size
        chosen = torch.randint(0, len(self.latents), (size,), generator=generator)
        kept = (torch.rand(size, generator=generator) >= self.cfg.caption_dropout).float()
        text = self.conditioning.take(self.captions[chosen], kept)
        scenes = self.latents[chosen].float()
        denoising = denoising_loss(self.styled, scenes, text, self.alpha_bar, generator)

        states, timesteps, ends, captions = flow_batch(self.flows, size, generator)
        text = self.conditioning.take(captions)
        reached = predict_ends(self.student, states, timesteps, text, self.alpha_bar)
        distillation = charbonnier(reached - ends)
        with sdpa_kernel(SDPBackend.MATH):
            (denoising + self.cfg.distillation_weight * distillation).backward()
        self.optimizers["muon"].step()
        self.optimizers["muon"].zero_grad()
        return {"denoising": denoising.item(), "distillation": distillation.item()}

    def evaluate(self, step: int) -> dict[str, float]:
        """Held-out captions on the teacher at 8 steps and on the student at 1 and 2."""
        figures = {}
        guidance = self.cfg.flow_guidance_scale
        for unet, model, steps, scale in (
            (self.styled, "nano-sdxl", 8, guidance),
            (self.student, "nano-turbo", 1, 0.0),
            (self.student, "nano-turbo", 2, 0.0),
        ):
            scheduler, captions = make_schedulers()[model], self.critic.captions
            latents, _ = draw(unet, scheduler, self.conditioning, captions, steps, scale, 5)
            judged = self.critic.judge_images(self.critic.decode(latents))
            figures |= {f"{name}_{model}_{steps}": value for name, value in judged.items()}
        return figures
