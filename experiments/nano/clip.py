"""Stage ``clip``: the judge, on all pairs and styles, never with the generators.

Images are now and then a little soft or noisy, so that a picture is judged by
what it shows and not by the sharpness of its edges.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from experiments.nano import loop
from experiments.nano.device import seeded
from experiments.nano.models import make_judge, normalise_for_judge
from experiments.nano.optim import make_muon
from experiments.nano.text import contrastive_loss, tokenize
from experiments.nano.world import World, caption, pairs

STYLE_SHARES = (0.7, 0.15, 0.15)
MAX_NOISE = 0.03


def soften(images: Tensor, generator: torch.Generator) -> Tensor:
    """Blend with a 3x3 mean and add noise, each by a random share an image."""
    count = len(images)
    blur = torch.rand(count, 1, 1, 1, generator=generator)
    padded = functional.pad(images, (1, 1, 1, 1), mode="replicate")
    images = torch.lerp(images, functional.avg_pool2d(padded, 3, 1), blur)
    amount = MAX_NOISE * torch.rand(count, 1, 1, 1, generator=generator)
    return (images + amount * torch.randn(images.shape, generator=generator)).clamp(0, 1)


@dataclass(frozen=True)
class ClipSettings:
    """What ``conf/stage/clip.yaml`` sets."""

    batch_size: int
    """Rows a step."""
    lr: float
    """Of Muon, at the peak of the schedule."""
    adamw_lr: float
    """Of AdamW: vectors, embeddings and thin kernels."""
    average: float
    """Decay of the moving average of the weights."""


class ClipStage:
    """open_clip's CLIP by its own loss; the average of the weights is what ships."""

    def __init__(self, cfg: ClipSettings, world: World, tokenizer: Any) -> None:
        self.cfg, self.world = cfg, world
        self.judge = make_judge()
        self.average = copy.deepcopy(self.judge).requires_grad_(False)
        self.modules = {"judge": self.judge, "average": self.average}
        self.optimizers = {"muon": make_muon([self.judge], cfg.lr, cfg.adamw_lr, weight_decay=0.01)}
        self.where = torch.tensor(pairs("all"))
        self.ids = tokenize(tokenizer, [caption(*p) for p in pairs("all")])

    def step(self, step: int, generator: torch.Generator) -> dict[str, float]:
        """One update on distinct captions with fresh scenes."""
        chosen = torch.randperm(len(self.where), generator=generator)[: self.cfg.batch_size]
        shares = torch.tensor(STYLE_SHARES)
        style = torch.multinomial(shares, len(chosen), replacement=True, generator=generator)
        where = self.where[chosen]
        scenes = self.world.scenes(where[:, 0], where[:, 1], generator, style)
        images = self.judge.encode_image(normalise_for_judge(soften(scenes, generator)))
        texts = self.judge.encode_text(self.ids[chosen])
        loss = contrastive_loss(images, texts, self.judge.logit_scale)
        loss.backward()
        self.optimizers["muon"].step()
        self.optimizers["muon"].zero_grad()
        loop.update_average(self.average, self.judge, min(self.cfg.average, step / (step + 10)))
        return {"loss": loss.item()}

    @torch.no_grad()
    def evaluate(self, step: int) -> dict[str, float]:
        """Recall@1 among all captions and the matched cosine, by style."""
        texts = functional.normalize(self.average.encode_text(self.ids), dim=-1)
        figures = {}
        for style in self.world.styles:
            generator = seeded(9)
            scenes = self.world.scenes(self.where[:, 0], self.where[:, 1], generator, style)
            images = self.average.encode_image(normalise_for_judge(scenes))
            scores = functional.normalize(images, dim=-1) @ texts.T
            right = scores.argmax(1) == torch.arange(len(scores))
            figures[f"recall_{style}"] = right.float().mean().item()
            figures[f"matched_{style}"] = scores.diag().mean().item()
        return figures
