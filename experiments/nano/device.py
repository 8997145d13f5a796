"""Where a stage computes: torch's default device, which ``train`` sets once.

Weights, draws and batches are made there; what comes from a file is moved. On
another device the bits are others, the figures are not.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

_EMULATES = ("DEFAULT", "AVX2")


def device() -> torch.device:
    """The default device."""
    return torch.get_default_device()


def seeded(seed: int) -> torch.Generator:
    """A generator whose draws lie on the default device."""
    return torch.Generator(device()).manual_seed(seed)


def autocast(enabled: bool = True) -> torch.autocast:
    """Matrix products and convolutions in bfloat16, where that is not emulated.

    On a CPU with AVX2 and no more a step in bfloat16 took 16 times one in float32.
    """
    is_emulated = device().type == "cpu" and torch.backends.cpu.get_cpu_capability() in _EMULATES
    return torch.autocast(device().type, dtype=torch.bfloat16, enabled=enabled and not is_emulated)


def load_tensors(path: Path) -> dict[str, Tensor]:
    """A safetensors file on the default device."""
    return load_file(str(path), device=str(device()))


def module_digest(module: nn.Module, *settings: object) -> str:
    """12 hex digits of a module's weights, and of what else its output depends on."""
    digest = hashlib.sha256(repr(settings).encode())
    for name, value in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]
