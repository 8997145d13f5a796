"""Muon for matrices and kernels, AdamW for the rest: one optimiser object.

On the VAE Muon reached in 100 s what AdamW did not reach in 170: 20.7 dB
against 14.5 after 150 steps at batch 16 (see README.md).
"""

from __future__ import annotations

from collections.abc import Iterable

import pytorch_optimizer
import torch
from torch import nn

# A kernel with fewer channels than this on a side is no matrix worth orthogonalising.
_SMALLEST_SIDE = 5


def make_muon(
    modules: Iterable[nn.Module],
    lr: float,
    adamw_lr: float,
    extra: Iterable[nn.Parameter] = (),
    weight_decay: float = 0.0,
) -> torch.optim.Optimizer:
    """``extra``: loose parameters, for AdamW. Embeddings go to AdamW as well."""
    matrices, rest = [], list(extra)
    for module in modules:
        embeddings = {
            id(part.weight) for part in module.modules() if isinstance(part, nn.Embedding)
        }
        for parameter in module.parameters():
            is_matrix = parameter.ndim >= 2 and min(parameter.shape[:2]) >= _SMALLEST_SIDE
            fits = is_matrix and id(parameter) not in embeddings
            (matrices if fits else rest).append(parameter)
    return pytorch_optimizer.Muon(
        [{"params": matrices, "use_muon": True}, {"params": rest, "use_muon": False}],
        lr=lr,
        weight_decay=weight_decay,
        adamw_lr=adamw_lr,
        adamw_betas=(0.9, 0.95),
        adamw_wd=0.0,
    )
