"""LPIPS (Zhang et al. 2018, arXiv:1801.03924) by torchmetrics, where AlexNet's weights are.

torchmetrics ships the linear layers; the network under them is torchvision's, which
would be downloaded. Here it is looked for where torch.hub keeps it, and named where
it is absent.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from turbo_lab.errors import InputError, MissingFilesError
from turbo_lab.identity import DigestCache
from turbo_lab.untrusted.paths import user_path

ALEXNET_FILE = "alexnet-owt-7be5be79.pth"
ALEXNET_SHA256 = "7be5be79"
"""First digits of the sha256 of torchvision's file."""
_ROWS = 32


def alexnet_file() -> Path:
    """Return the path where torch.hub keeps the file, which may not exist."""
    home = os.environ.get("XDG_CACHE_HOME") or user_path("~/.cache")
    root = Path(os.environ.get("TORCH_HOME") or Path(home) / "torch")
    return root / "hub" / "checkpoints" / ALEXNET_FILE


def lpips(candidate: npt.NDArray[np.uint8], baseline: npt.NDArray[np.uint8]) -> list[float]:
    """Return the distance of each pair of (N, H, W, 3) uint8 images; 0 means equal.

    H and W from 32. Raises :class:`MissingFilesError` without the weights,
    :class:`InputError` where the file holds others.
    """
    weights = alexnet_file()
    if not weights.is_file():
        raise MissingFilesError(f"lpips: needs torchvision's {ALEXNET_FILE} in {weights.parent}")
    found = DigestCache().file(weights)
    if not found.startswith(ALEXNET_SHA256):
        raise InputError(
            f"lpips: {weights} has sha256 {found[:8]}..., torchvision's file {ALEXNET_SHA256}..."
        )
    import torch
    from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

    network = LearnedPerceptualImagePatchSimilarity(net_type="alex").net
    values: list[float] = []
    for start in range(0, len(candidate), _ROWS):
        first, second = (
            torch.from_numpy(images[start : start + _ROWS]).permute(0, 3, 1, 2).float() / 255
            for images in (candidate, baseline)
        )
        with torch.inference_mode():
            values += network(first, second, normalize=True).flatten().tolist()
    return values
