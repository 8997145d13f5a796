"""Train one stage of the family.

    python -m experiments.nano.train stage=vae

A run that is killed goes on from its last checkpoint when the same command is
given again; a finished one only prints its figures.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from experiments.nano import loop
from experiments.nano.artifacts import Work
from experiments.nano.clip import ClipSettings, ClipStage
from experiments.nano.lcm import LcmSettings, LcmStage
from experiments.nano.lora import LoraSettings, LoraStage
from experiments.nano.sample import Critic
from experiments.nano.teacher import Conditioning, TeacherSettings, TeacherStage
from experiments.nano.text import TextSettings, TextStage, tokenize
from experiments.nano.transfer import TransferSettings, TransferStage
from experiments.nano.turbo import TurboSettings, TurboStage, stored_flows
from experiments.nano.vae import VaeSettings, VaeStage
from experiments.nano.world import caption, pairs


def make_vae_stage(settings: dict[str, Any], work: Work) -> loop.Stage:
    """Needs the icons only."""
    return VaeStage(VaeSettings(**settings), work.world())


def make_clip_stage(settings: dict[str, Any], work: Work) -> loop.Stage:
    """Needs the icons only."""
    return ClipStage(ClipSettings(**settings), work.world(), work.tokenizer())


def make_text_stage(settings: dict[str, Any], work: Work) -> loop.Stage:
    """Needs the icons only."""
    return TextStage(TextSettings(**settings), work.world(), work.tokenizer())


def make_teacher_stage(settings: dict[str, Any], work: Work) -> loop.Stage:
    """Needs stages vae and text."""
    return TeacherStage(TeacherSettings(**settings), *work.latents(), work.conditioning())


def make_critic(work: Work) -> Critic:
    """What judges drawings during training; needs stages vae and clip."""
    judge_ids = tokenize(work.tokenizer(), [caption(*p) for p in pairs("all")])
    return Critic(work.vae(), work.scaling_factor(), work.judge(), judge_ids)


def recorded_flows(
    work: Work, unet: Any, conditioning: Conditioning, num_flows: int, guidance_scale: float
) -> dict[str, Tensor]:
    """Guided flows of ``unet`` for the training captions."""
    where = torch.tensor(pairs("train"))
    captions = where[:, 0] * 10 + where[:, 1]
    folder = work.folder / "flows"
    return stored_flows(folder, unet, conditioning, captions, num_flows, guidance_scale)


def make_turbo_stage(settings: dict[str, Any], work: Work) -> loop.Stage:
    """Needs every stage above; records the teacher's flows where they are not yet recorded."""
    cfg = TurboSettings(**settings)
    teacher, conditioning = work.unet("teacher"), work.conditioning()
    flows = recorded_flows(work, teacher, conditioning, cfg.flows, cfg.flow_guidance_scale)
    return TurboStage(cfg, teacher, flows, *work.latents(), conditioning, make_critic(work))


def make_lora_stage(settings: dict[str, Any], work: Work) -> loop.Stage:
    """Needs stages vae, text and teacher."""
    cfg = LoraSettings(**settings)
    return LoraStage(cfg, work.unet("teacher"), *work.latents(cfg.style), work.conditioning())


def make_transfer_stage(settings: dict[str, Any], work: Work) -> loop.Stage:
    """Needs stages turbo, clip and lora; records the styled teacher's flows where needed."""
    cfg = TransferSettings(**settings)
    styled, conditioning = work.lora(f"lora-{cfg.style}", cfg.rank), work.conditioning()
    flows = recorded_flows(work, styled, conditioning, cfg.flows, cfg.flow_guidance_scale)
    return TransferStage(
        cfg,
        styled,
        work.unet("turbo"),
        flows,
        *work.latents(cfg.style),
        conditioning,
        make_critic(work),
    )


def make_lcm_stage(settings: dict[str, Any], work: Work) -> loop.Stage:
    """Needs stages vae, text, clip and teacher."""
    teacher, conditioning = work.unet("teacher"), work.conditioning()
    return LcmStage(
        LcmSettings(**settings), teacher, *work.latents(), conditioning, make_critic(work)
    )


STAGES: dict[str, Callable[[dict[str, Any], Work], loop.Stage]] = {
    "vae": make_vae_stage,
    "clip": make_clip_stage,
    "text": make_text_stage,
    "teacher": make_teacher_stage,
    "turbo": make_turbo_stage,
    "lcm": make_lcm_stage,
    "lora": make_lora_stage,
    "transfer": make_transfer_stage,
}


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg: DictConfig) -> None:
    """Build the stage and run the loop."""
    torch.set_num_threads(cfg.num_threads)
    if cfg.device != "cpu":
        torch.set_default_device(cfg.device)
    work, name = Work(Path(cfg.work), cfg.shipped), cfg.stage.name
    loop_cfg = loop.LoopConfig(**cfg.stage.loop)
    torch.manual_seed(loop_cfg.seed)  # the initial weights; each step has a generator of its own
    settings = OmegaConf.to_container(cfg.stage.settings, resolve=True)
    stage = STAGES[name.split("-")[0]](settings, work)
    figures = loop.train(stage, loop_cfg, work.folder / name)
    print("  ".join(f"{key} {value:.4g}" for key, value in figures.items()))


if __name__ == "__main__":
    main()
