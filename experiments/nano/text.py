"""Stage ``text``: the generators' two text encoders, trained apart from the judge.

Contrastive against a small convolutional image tower that is thrown away, on
training pairs only. The encoders are frozen afterwards.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from experiments.nano.device import device, seeded
from experiments.nano.models import TEXT_WIDTHS, TOKENS, make_text_encoders
from experiments.nano.optim import make_muon
from experiments.nano.world import World, caption, pairs

STYLE_SHARES = (0.8, 0.1, 0.1)


class ImageTower(nn.Module):
    """(N, 3, 64, 64) in [0, 1] to (N, dim)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        widths = (3, 32, 64, 96, 128)
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            layers += [nn.Conv2d(before, after, 3, 2, 1), nn.GroupNorm(8, after), nn.SiLU()]
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(widths[-1] * 16, dim)

    def forward(self, images: Tensor) -> Tensor:
        """Unnormalised embeddings."""
        return self.head(self.features(images * 2 - 1).flatten(1))


def tokenize(tokenizer: Any, captions: list[str]) -> Tensor:
    """(N, 32) token ids."""
    encoded = tokenizer(
        captions, padding="max_length", max_length=TOKENS, truncation=True, return_tensors="pt"
    )
    return encoded.input_ids.to(device())


def contrastive_loss(images: Tensor, texts: Tensor, log_scale: Tensor) -> Tensor:
    """Symmetric InfoNCE (arXiv:2103.00020) of matched, unnormalised rows."""
    images, texts = functional.normalize(images, dim=-1), functional.normalize(texts, dim=-1)
    logits = texts @ images.T * log_scale.exp().clamp(max=50)
    target = torch.arange(len(logits))
    forward = functional.cross_entropy(logits, target)
    return 0.5 * (forward + functional.cross_entropy(logits.T, target))


@dataclass(frozen=True)
class TextSettings:
    """What ``conf/stage/text.yaml`` sets."""

    batch_size: int
    """Rows a step."""
    lr: float
    """Of Muon, at the peak of the schedule."""
    adamw_lr: float
    """Of AdamW: vectors, embeddings and thin kernels."""


class TextStage:
    """Both encoders at once, each with its own half of the image tower's output."""

    def __init__(self, cfg: TextSettings, world: World, tokenizer: Any) -> None:
        self.cfg, self.world = cfg, world
        self.first, self.second = make_text_encoders()
        self.head = nn.Linear(TEXT_WIDTHS[0], TEXT_WIDTHS[0], bias=False)
        self.tower = ImageTower(sum(TEXT_WIDTHS))
        self.scales = nn.ParameterList(nn.Parameter(torch.tensor(math.log(10.0))) for _ in "12")
        self.modules = {
            "text_encoder": self.first,
            "text_encoder_2": self.second,
            "head": self.head,
            "tower": self.tower,
            "scales": self.scales,
        }
        trained = [self.first, self.second, self.head, self.tower]
        self.optimizers = {"muon": make_muon(trained, cfg.lr, cfg.adamw_lr, self.scales)}
        self.where = torch.tensor(pairs("train"))
        self.every = torch.tensor(pairs("all"))
        self.ids = tokenize(tokenizer, [caption(*p) for p in pairs("train")])
        self.every_ids = tokenize(tokenizer, [caption(*p) for p in pairs("all")])

    def _embed(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        return self.head(self.first(ids).pooler_output), self.second(ids).text_embeds

    def step(self, step: int, generator: torch.Generator) -> dict[str, float]:
        """One update on distinct captions with fresh scenes."""
        chosen = torch.randperm(len(self.where), generator=generator)[: self.cfg.batch_size]
        shares = torch.tensor(STYLE_SHARES)
        style = torch.multinomial(shares, len(chosen), replacement=True, generator=generator)
        where = self.where[chosen]
        images = self.tower(self.world.scenes(where[:, 0], where[:, 1], generator, style))
        texts = self._embed(self.ids[chosen])
        halves = images.split(TEXT_WIDTHS, dim=1)
        loss = sum(
            contrastive_loss(image, text, scale)
            for image, text, scale in zip(halves, texts, self.scales, strict=True)
        )
        loss.backward()
        self.optimizers["muon"].step()
        self.optimizers["muon"].zero_grad()
        return {"loss": loss.item()}

    @torch.no_grad()
    def evaluate(self, step: int) -> dict[str, float]:
        """Recall@1 of held-out captions among all 640, by encoder."""
        held_out = torch.tensor(pairs("heldout"))
        generator = seeded(9)
        images = self.tower(self.world.scenes(held_out[:, 0], held_out[:, 1], generator))
        target = held_out[:, 0] * 10 + held_out[:, 1]
        figures = {}
        halves = images.split(TEXT_WIDTHS, dim=1)
        for name, image, text in zip("12", halves, self._embed(self.every_ids), strict=True):
            scores = functional.normalize(image, dim=-1) @ functional.normalize(text, dim=-1).T
            figures[f"recall_{name}"] = (scores.argmax(1) == target).float().mean().item()
        return figures
