"""Which difference of the environment leads to which tier.

The table of the design: equal keys are held to the bit; another version, CPU
model or kernel choice within one device class is the upgrade question and held
numerically; another device class is held perceptually. A difference that is not in the
table, compile mode for one, no golden covers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from turbo_lab.documents.golden import Tier
from turbo_lab.environment import UNKNOWN, Keys

TIERS: tuple[Tier, ...] = ("T0", "T1", "T2")

NUMERIC_KEYS = frozenset(
    {
        "torch",
        "diffusers",
        "transformers",
        "tokenizers",
        "peft",
        "cuda",
        "cudnn",
        "device_model",
        "isa",
        "num_threads",
        "sdpa_backend",
        "memory_format",
        "cublas_workspace",
        "ATEN_CPU_CAPABILITY",
        "ONEDNN_MAX_CPU_ISA",
        "MKL_CBWR",
    }
)
PERCEPTUAL_KEYS = frozenset({"device_class"})
# Only one kind of device has it; across device classes its absence is expected.
_OF_ONE_DEVICE = frozenset({"cublas_workspace"})


@dataclass(frozen=True)
class TierChoice:
    """The tier that applies here, and why."""

    tier: Tier | None
    """``None``: no tier covers this difference."""
    differs: tuple[tuple[str, Any, Any], ...]
    """(key, the golden's, here)."""
    reason: str | None
    """Why nothing covers it; ``None`` where something does."""


def choose_tier(golden: Keys, here: Keys) -> TierChoice:
    """Compare the fingerprint keys of a golden and of this environment."""
    names = [*golden, *(name for name in here if name not in golden)]
    differs = tuple(
        (name, golden.get(name), here.get(name))
        for name in names
        if golden.get(name) != here.get(name)
    )
    unread = [name for name in names if _is_unread(here.get(name)) or _is_unread(golden.get(name))]
    if unread:
        return TierChoice(None, differs, f"{', '.join(unread)}: cannot be read, so nothing covers")
    perceptual = any(name in PERCEPTUAL_KEYS for name, *_ in differs)
    foreign = [
        name
        for name, before, now in differs
        if name not in NUMERIC_KEYS | PERCEPTUAL_KEYS
        or (None in (before, now) and not (perceptual and name in _OF_ONE_DEVICE))
    ]
    if foreign:
        return TierChoice(None, differs, f"{', '.join(foreign)}: no tier covers this difference")
    if perceptual:
        return TierChoice("T2", differs, None)
    return TierChoice("T1" if differs else "T0", differs, None)


def unread_keys(keys: Mapping[str, Any]) -> list[str]:
    """Keys of an environment that could not be read, wholly or in part."""
    return [name for name, value in keys.items() if _is_unread(value)]


def _is_unread(value: Any) -> bool:
    """``unknown``, also as a word of ``unknown family 6 model 1``."""
    return UNKNOWN in str(value).split()
