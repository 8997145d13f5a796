"""Every stage of the family's training, tiny, on torch's default device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from experiments.nano import loop
from experiments.nano.clip import ClipSettings, ClipStage
from experiments.nano.lcm import LcmSettings, LcmStage
from experiments.nano.lora import LoraSettings, LoraStage, add_lora
from experiments.nano.models import make_judge, make_unet, make_vae
from experiments.nano.sample import Critic
from experiments.nano.teacher import Conditioning, TeacherSettings, TeacherStage
from experiments.nano.text import TextSettings, TextStage
from experiments.nano.transfer import TransferSettings, TransferStage
from experiments.nano.turbo import TurboSettings, TurboStage, record_flows
from experiments.nano.vae import VaeSettings, VaeStage
from experiments.nano.world import STYLES, World


class Parts:
    """What stages are made of, on the default device."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.world = World(torch.rand(3, 64, 4, 48, 48), tuple(STYLES))
        self.scenes = (torch.randn(8, 4, 16, 16), torch.arange(8))
        self.conditioning = Conditioning(torch.randn(640, 32, 160), torch.randn(640, 96))
        self.critic = Critic(make_vae(), 1.0, make_judge(), torch.zeros(640, 32, dtype=torch.long))

    def flows(self) -> dict[str, torch.Tensor]:
        """Recorded from a teacher."""
        return record_flows(make_unet(), self.conditioning, self.scenes[1][:2], 2.0, seed=3)


def make_vae_stage(parts: Parts) -> loop.Stage:
    settings = VaeSettings(
        batch_size=2, lr=1e-2, adamw_lr=1e-3, kl_weight=0.0, average=0.9, bfloat16=True
    )
    return VaeStage(settings, parts.world)


def make_clip_stage(parts: Parts) -> loop.Stage:
    settings = ClipSettings(batch_size=4, lr=1e-2, adamw_lr=1e-3, average=0.9)
    return ClipStage(settings, parts.world, parts.tokenizer)


def make_text_stage(parts: Parts) -> loop.Stage:
    settings = TextSettings(batch_size=4, lr=1e-2, adamw_lr=1e-3)
    return TextStage(settings, parts.world, parts.tokenizer)


def make_teacher_stage(parts: Parts) -> loop.Stage:
    settings = TeacherSettings(
        batch_size=2, lr=1e-2, adamw_lr=1e-3, average=0.9, caption_dropout=0.1
    )
    return TeacherStage(settings, *parts.scenes, parts.conditioning)


def make_turbo_stage(parts: Parts) -> loop.Stage:
    settings = TurboSettings(
        batch_size=2,
        lr=1e-2,
        adamw_lr=1e-3,
        average=0.9,
        discriminator_lr=1e-3,
        distillation_weight=1.0,
        adversarial_weight=0.1,
        adversarial_from=0,
        renoise=(100, 800),
        flows=2,
        flow_guidance_scale=2.0,
    )
    return TurboStage(
        settings, make_unet(), parts.flows(), *parts.scenes, parts.conditioning, parts.critic
    )


def make_lcm_stage(parts: Parts) -> loop.Stage:
    settings = LcmSettings(rank=4, batch_size=2, lr=1e-2, guidance_scale=2.5, huber=1e-3)
    return LcmStage(settings, make_unet(), *parts.scenes, parts.conditioning, parts.critic)


def make_lora_stage(parts: Parts) -> loop.Stage:
    settings = LoraSettings(style="flat", rank=4, batch_size=2, lr=1e-2, caption_dropout=0.1)
    return LoraStage(settings, make_unet(), *parts.scenes, parts.conditioning)


def make_transfer_stage(parts: Parts) -> loop.Stage:
    settings = TransferSettings(
        style="flat",
        rank=4,
        batch_size=2,
        lr=1e-2,
        caption_dropout=0.1,
        distillation_weight=1.0,
        flows=2,
        flow_guidance_scale=2.0,
    )
    styled = make_unet()
    add_lora(styled, 4)
    return TransferStage(
        settings,
        styled,
        make_unet(),
        parts.flows(),
        *parts.scenes,
        parts.conditioning,
        parts.critic,
    )


STAGES: dict[str, Callable[[Parts], loop.Stage]] = {
    "vae": make_vae_stage,
    "clip": make_clip_stage,
    "text": make_text_stage,
    "teacher": make_teacher_stage,
    "turbo": make_turbo_stage,
    "lcm": make_lcm_stage,
    "lora": make_lora_stage,
    "transfer": make_transfer_stage,
}
