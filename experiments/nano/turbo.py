"""Stage ``turbo``: one to four steps from the teacher, by distillation and an adversary.

The student starts as the teacher. Distillation: it learns the teacher's guided
probability flow from states on it, at the timesteps that 1 to 4 trailing steps
visit, to where the flow ends (as in progressive and consistency distillation).
Adversary: heads on the frozen teacher's features of re-noised latents tell
real scenes from the student's (LADD, arXiv:2403.12015), with a projection of
the pooled text (arXiv:1802.05637) and the hinge loss of ADD (arXiv:2311.17042).
"""

from __future__ import annotations

import copy
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from experiments.nano import loop
from experiments.nano.device import autocast, load_tensors, module_digest
from experiments.nano.models import TEXT_WIDTHS, alphas_cumprod, make_schedulers
from experiments.nano.optim import make_muon
from experiments.nano.sample import Critic, draw
from experiments.nano.teacher import Conditioning, add_noise, predict

# Twelve trailing steps pass through every timestep that 1 to 4 steps visit.
FLOW_STEPS = 12
VISITED = (999, 749, 666, 499, 332, 249)
# Flows a file, drawn from FLOW_SEED and the file's number.
FLOW_CHUNK = 64
FLOW_SEED = 17


def record_flows(
    teacher: Any, conditioning: Conditioning, captions: Tensor, guidance_scale: float, seed: int
) -> dict[str, Tensor]:
    """The teacher's guided flow for each caption: scaled states at ``VISITED``, and its end."""
    end, kept = draw(
        teacher,
        make_schedulers()["nano-sdxl"],
        conditioning,
        captions,
        FLOW_STEPS,
        guidance_scale,
        seed,
        VISITED,
    )
    return {
        "states": torch.stack([kept[t] for t in VISITED], dim=1).half(),
        "ends": end.half(),
        "captions": captions.to(torch.int32),
    }


def stored_flows(
    folder: Path,
    teacher: Any,
    conditioning: Conditioning,
    captions: Tensor,
    num_flows: int,
    guidance_scale: float,
) -> dict[str, Tensor]:
    """``num_flows`` flows over ``captions`` in turn, recorded where they are not yet stored.

    A file a chunk, each put in place by one rename, so a killed recording goes
    on where it was. Under ``torchrun`` the processes share the chunks out.
    """
    # Flows of another teacher or guidance must not be taken for these.
    folder = folder / module_digest(teacher, guidance_scale, FLOW_STEPS, VISITED)
    folder.mkdir(parents=True, exist_ok=True)
    num_chunks = -(-num_flows // FLOW_CHUNK)
    paths = [folder / f"{chunk:04d}.safetensors" for chunk in range(num_chunks)]
    rank, processes = (int(os.environ.get(k, d)) for k, d in (("RANK", "0"), ("WORLD_SIZE", "1")))
    for chunk, path in enumerate(paths):
        if chunk % processes != rank or path.exists():
            continue
        taken = captions[torch.arange(FLOW_CHUNK * chunk, FLOW_CHUNK * (chunk + 1)) % len(captions)]
        flows = record_flows(teacher, conditioning, taken, guidance_scale, FLOW_SEED + chunk)
        partial = path.with_suffix(".partial")
        save_file(flows, str(partial))
        os.replace(partial, path)
        print(f"flows {chunk + 1}/{num_chunks} chunks of {FLOW_CHUNK}", flush=True)
    while not all(path.exists() for path in paths):  # other processes' chunks
        time.sleep(0.5)
    chunks = [load_tensors(path) for path in paths]
    return {key: torch.cat([c[key] for c in chunks])[:num_flows] for key in chunks[0]}


def flow_batch(
    flows: dict[str, Tensor], size: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """States on flows, their timesteps, where the flows end, and their captions."""
    chosen = torch.randint(0, len(flows["ends"]), (size,), generator=generator)
    # Half of the rows start from pure noise: one step is what matters most.
    place = torch.randint(1, len(VISITED), (size,), generator=generator)
    place[: size // 2] = 0
    states, ends = flows["states"][chosen, place].float(), flows["ends"][chosen].float()
    return states, torch.tensor(VISITED)[place], ends, flows["captions"][chosen].long()


def predict_ends(
    unet: Any, states: Tensor, timesteps: Tensor, text: dict[str, Any], alpha_bar: Tensor
) -> Tensor:
    """Where ``unet`` says the flow ends: its prediction of x0."""
    share = alpha_bar[timesteps][:, None, None, None]
    epsilon = predict(unet, states, timesteps, text)
    return (states - (1 - share).sqrt() * epsilon) / share.sqrt()


def charbonnier(error: Tensor) -> Tensor:
    """Mean of a smooth absolute value: quadratic below 0.03, linear beyond."""
    return ((error.square() + 1e-3).sqrt() - 1e-3**0.5).mean()


def teacher_features(unet: Any, noisy: Tensor, timesteps: Tensor, text: dict[str, Any]) -> list:
    """Activations of the frozen teacher's encoder: after each down block and the middle."""
    embedding = unet.time_embedding(unet.get_time_embed(sample=noisy, timestep=timesteps))
    added = unet.get_aug_embed(
        emb=embedding,
        encoder_hidden_states=text["encoder_hidden_states"],
        added_cond_kwargs=text["added_cond_kwargs"],
    )
    embedding, context = embedding + added, text["encoder_hidden_states"]
    hidden, features = unet.conv_in(noisy), []
    for block in unet.down_blocks:
        if getattr(block, "has_cross_attention", False):
            hidden, _ = block(hidden, embedding, encoder_hidden_states=context)
        else:
            hidden, _ = block(hidden, embedding)
        features.append(hidden)
    hidden = unet.mid_block(hidden, embedding, encoder_hidden_states=context)
    return [*features, hidden]


class Head(nn.Module):
    """Feature map and pooled text to one logit a position."""

    def __init__(self, channels: int, width: int = 64) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.GroupNorm(8, channels),
            nn.Conv2d(channels, width, 3, padding=1),
            nn.GroupNorm(8, width),
            nn.LeakyReLU(0.2),
        )
        self.logit = nn.Conv2d(width, 1, 1)
        self.project = nn.Linear(TEXT_WIDTHS[1], width)

    def forward(self, feature: Tensor, pooled: Tensor) -> Tensor:
        """(N, C, h, w) and (N, 96) to (N, h * w)."""
        hidden = self.features(feature)
        match = (hidden * self.project(pooled)[:, :, None, None]).mean(1, keepdim=True)
        return (self.logit(hidden) + match).flatten(1)


class Discriminator(nn.Module):
    """One head a feature map of the frozen teacher."""

    def __init__(self, channels: tuple[int, ...] = (64, 96, 128, 128)) -> None:
        super().__init__()
        self.heads = nn.ModuleList(Head(count) for count in channels)

    def forward(self, features: list[Tensor], pooled: Tensor) -> Tensor:
        """(N, logits)."""
        logits = [
            head(feature.float(), pooled)
            for head, feature in zip(self.heads, features, strict=True)
        ]
        return torch.cat(logits, dim=1)


@dataclass(frozen=True)
class TurboSettings:
    """What ``conf/stage/turbo.yaml`` sets."""

    batch_size: int
    """Rows a step."""
    lr: float
    """Of Muon, at the peak of the schedule."""
    adamw_lr: float
    """Of AdamW: vectors, embeddings and thin kernels."""
    average: float
    """Decay of the moving average of the weights."""
    discriminator_lr: float
    """Of the heads (AdamW)."""
    distillation_weight: float
    """0 leaves the teacher's flows out."""
    adversarial_weight: float
    """0 leaves the adversary out."""
    adversarial_from: int
    """The step from which the adversary takes part."""
    renoise: tuple[int, int]
    """Range of timesteps at which the adversary looks."""
    flows: int
    """Recorded flows of the teacher."""
    flow_guidance_scale: float
    """Guidance of the recorded flows."""


class TurboStage:
    """Student and discriminator in turn."""

    def __init__(
        self,
        cfg: TurboSettings,
        teacher: Any,
        flows: dict[str, Tensor],
        latents: Tensor,
        captions: Tensor,
        conditioning: Conditioning,
        critic: Critic,
    ) -> None:
        self.cfg, self.flows, self.conditioning, self.critic = cfg, flows, conditioning, critic
        self.latents, self.captions = latents, captions
        self.teacher = copy.deepcopy(teacher).requires_grad_(False)
        self.student = copy.deepcopy(teacher).requires_grad_(True)
        self.average = copy.deepcopy(teacher).requires_grad_(False)
        self.discriminator = Discriminator()
        self.modules = {
            "student": self.student,
            "average": self.average,
            "discriminator": self.discriminator,
        }
        self.optimizers = {
            "student": make_muon([self.student], cfg.lr, cfg.adamw_lr),
            "discriminator": torch.optim.AdamW(
                self.discriminator.parameters(), cfg.discriminator_lr, betas=(0.5, 0.99)
            ),
        }
        self.alpha_bar = alphas_cumprod()

    def _logits(self, latents: Tensor, text: dict[str, Any], generator: torch.Generator) -> Tensor:
        low, high = self.cfg.renoise
        timesteps = torch.randint(low, high, (len(latents),), generator=generator)
        noise = torch.randn(latents.shape, generator=generator)
        noisy = add_noise(latents, noise, self.alpha_bar[timesteps])
        with sdpa_kernel(SDPBackend.MATH), autocast():
            features = teacher_features(self.teacher, noisy, timesteps, text)
        return self.discriminator(features, text["added_cond_kwargs"]["text_embeds"])

    def step(self, step: int, generator: torch.Generator) -> dict[str, float]:
        """One update of the student, then one of the discriminator."""
        cfg, size = self.cfg, self.cfg.batch_size
        states, timesteps, targets, captions = flow_batch(self.flows, size, generator)
        text = self.conditioning.take(captions)
        ends = predict_ends(self.student, states, timesteps, text, self.alpha_bar)
        figures: dict[str, float] = {}
        loss = torch.zeros(())
        if cfg.distillation_weight:
            distillation = charbonnier(ends - targets)
            loss = loss + cfg.distillation_weight * distillation
            figures["distillation"] = distillation.item()
        adversarial = cfg.adversarial_weight and step >= cfg.adversarial_from
        if adversarial:
            self.discriminator.requires_grad_(False)
            fooled = -self._logits(ends, text, generator).mean()
            loss = loss + cfg.adversarial_weight * fooled
            figures["fooled"] = fooled.item()
        with sdpa_kernel(SDPBackend.MATH):
            loss.backward()
        self.optimizers["student"].step()
        self.optimizers["student"].zero_grad()
        if adversarial:
            figures["discriminator"] = self._discriminate(ends.detach(), text, generator)
        loop.update_average(self.average, self.student, min(cfg.average, step / (step + 10)))
        return figures

    def _discriminate(
        self, ends: Tensor, text: dict[str, Any], generator: torch.Generator
    ) -> float:
        """Hinge loss on real scenes of the training pairs and on the student's ends."""
        chosen = torch.randint(0, len(self.latents), (len(ends),), generator=generator)
        real_text = self.conditioning.take(self.captions[chosen])
        self.discriminator.requires_grad_(True)
        real = self._logits(self.latents[chosen].float(), real_text, generator)
        fake = self._logits(ends, text, generator)
        loss = functional.relu(1 - real).mean() + functional.relu(1 + fake).mean()
        loss.backward()
        self.optimizers["discriminator"].step()
        self.optimizers["discriminator"].zero_grad()
        return loss.item()

    def evaluate(self, step: int) -> dict[str, float]:
        """Recall, colour and CLIP score on the held-out captions at 1, 2 and 4 steps."""
        figures = {}
        for steps in (1, 2, 4):
            scheduler = make_schedulers()["nano-turbo"]
            captions = self.critic.captions
            latents, _ = draw(self.average, scheduler, self.conditioning, captions, steps, 0.0, 5)
            judged = self.critic.judge_images(self.critic.decode(latents))
            figures |= {f"{name}_{steps}": value for name, value in judged.items()}
        return figures
