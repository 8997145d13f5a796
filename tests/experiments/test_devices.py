"""Every stage on another device than the CPU, where there is no GPU: on ``meta``.

Its tensors have a device and no values, and do not mix with the CPU's.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("resvg_py")
pytest.importorskip("pytorch_optimizer")

import torch

from experiments.nano import device, loop, sample, teacher, turbo, vae
from experiments.nano.clip import ClipSettings, ClipStage
from experiments.nano.lcm import LcmSettings, LcmStage
from experiments.nano.lora import LoraSettings, LoraStage, add_lora
from experiments.nano.models import make_judge, make_tokenizer, make_unet, make_vae
from experiments.nano.sample import Critic
from experiments.nano.teacher import Conditioning, TeacherSettings, TeacherStage
from experiments.nano.text import TextSettings, TextStage
from experiments.nano.transfer import TransferSettings, TransferStage
from experiments.nano.turbo import TurboSettings, TurboStage, record_flows
from experiments.nano.vae import VaeSettings, VaeStage
from experiments.nano.world import STYLES, World


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The default device is ``meta``, which has no generators, autocast or values."""
    item = torch.Tensor.item
    monkeypatch.setattr(torch.Tensor, "item", lambda t: 1.0 if t.is_meta else item(t))
    monkeypatch.setattr(sample, "seeded", lambda seed: None)
    for module in (sample, teacher, turbo, vae):
        monkeypatch.setattr(module, "autocast", lambda enabled=True: contextlib.nullcontext())
    with torch.device("meta"):
        yield


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
    settings = VaeSettings(batch_size=2, lr=1e-2, adamw_lr=1e-3, kl_weight=0.0, average=0.9,
                           bfloat16=True)  # fmt: skip
    return VaeStage(settings, parts.world)


def make_clip_stage(parts: Parts) -> loop.Stage:
    settings = ClipSettings(batch_size=4, lr=1e-2, adamw_lr=1e-3, average=0.9)
    return ClipStage(settings, parts.world, parts.tokenizer)


def make_text_stage(parts: Parts) -> loop.Stage:
    settings = TextSettings(batch_size=4, lr=1e-2, adamw_lr=1e-3)
    return TextStage(settings, parts.world, parts.tokenizer)


def make_teacher_stage(parts: Parts) -> loop.Stage:
    settings = TeacherSettings(batch_size=2, lr=1e-2, adamw_lr=1e-3, average=0.9,
                               caption_dropout=0.1)  # fmt: skip
    return TeacherStage(settings, *parts.scenes, parts.conditioning)


def make_turbo_stage(parts: Parts) -> loop.Stage:
    settings = TurboSettings(
        batch_size=2, lr=1e-2, adamw_lr=1e-3, average=0.9, discriminator_lr=1e-3,
        distillation_weight=1.0, adversarial_weight=0.1, adversarial_from=0, renoise=(100, 800),
        flows=2, flow_guidance_scale=2.0,
    )  # fmt: skip
    return TurboStage(settings, make_unet(), parts.flows(), *parts.scenes, parts.conditioning,
                      parts.critic)  # fmt: skip


def make_lcm_stage(parts: Parts) -> loop.Stage:
    settings = LcmSettings(rank=4, batch_size=2, lr=1e-2, guidance_scale=2.5, huber=1e-3)
    return LcmStage(settings, make_unet(), *parts.scenes, parts.conditioning, parts.critic)


def make_lora_stage(parts: Parts) -> loop.Stage:
    settings = LoraSettings(style="flat", rank=4, batch_size=2, lr=1e-2, caption_dropout=0.1)
    return LoraStage(settings, make_unet(), *parts.scenes, parts.conditioning)


def make_transfer_stage(parts: Parts) -> loop.Stage:
    settings = TransferSettings(
        style="flat", rank=4, batch_size=2, lr=1e-2, caption_dropout=0.1,
        distillation_weight=1.0, flows=2, flow_guidance_scale=2.0,
    )  # fmt: skip
    styled = make_unet()
    add_lora(styled, 4)
    return TransferStage(settings, styled, make_unet(), parts.flows(), *parts.scenes,
                         parts.conditioning, parts.critic)  # fmt: skip


@pytest.mark.slow
@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(
    "make",
    [
        make_vae_stage,
        make_clip_stage,
        make_text_stage,
        make_teacher_stage,
        make_turbo_stage,
        make_lcm_stage,
        make_lora_stage,
        make_transfer_stage,
    ],
)
def test_a_step_stays_on_its_device(make: Callable[[Parts], loop.Stage], tmp_path: Path) -> None:
    stage = make(Parts(make_tokenizer(tmp_path)))
    weights = [p for module in stage.modules.values() for p in module.parameters()]
    assert weights and all(weight.is_meta for weight in weights)
    assert stage.step(0, None)  # type: ignore[arg-type]  # meta has no generators
    assert all(weight.is_meta for weight in weights)


@pytest.mark.usefixtures("elsewhere")
def test_a_batch_left_on_the_cpu_would_be_seen() -> None:
    stage = make_lora_stage(Parts(None))
    stage.latents = torch.zeros(8, 4, 16, 16, device="cpu")  # type: ignore[attr-defined]
    with pytest.raises(RuntimeError, match="device"):
        stage.step(0, None)  # type: ignore[arg-type]


@pytest.mark.usefixtures("elsewhere")
def test_the_critic_judges_on_its_device() -> None:
    parts = Parts(None)
    drawn = parts.critic.decode(torch.randn(128, 4, 16, 16))
    assert drawn.is_meta
    assert parts.critic.judge_images(drawn)


def test_draws_of_a_seed_lie_on_the_default_device() -> None:
    assert device.seeded(3).device == device.device() == torch.device("cpu")
    one, two = (torch.randn(4, generator=device.seeded(3)) for _ in range(2))
    assert torch.equal(one, two)
