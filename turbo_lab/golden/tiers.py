"""The tier of a comparison, chosen by the difference between two environments.

Owns the table in ``docs/goldens.md``. With equal keys, a golden is compared bit for bit. Another
version, CPU model or kernel choice within one device class is an upgrade, compared
numerically. Another device class is compared perceptually. No tier covers any other
difference, such as another compile mode.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from turbo_lab.documents.golden import Tier
from turbo_lab.environment import UNKNOWN, Keys

TIERS: tuple[Tier, ...] = ("T0", "T1", "T2")
"""All tiers, the strictest first."""

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
"""Fingerprint keys whose difference leads to T1."""
PERCEPTUAL_KEYS = frozenset({"device_class"})
"""Fingerprint keys whose difference leads to T2."""
# Only one device class has these keys: between two classes, they are absent on one side.
_CLASS_KEYS = frozenset({"cublas_workspace"})


class KeyDifference(NamedTuple):
    """One fingerprint key with two values."""

    key: str
    """Name of the key."""
    golden: str | int | None
    """Value of the golden's environment; ``None`` if it has no such key."""
    here: str | int | None
    """Value of this environment; ``None`` if it has no such key."""


@dataclass(frozen=True)
class TierChoice:
    """The tier that applies to an environment, with its reason."""

    tier: Tier | None
    """The tier; ``None``: no tier covers the difference."""
    differs: tuple[KeyDifference, ...]
    """Keys that differ."""
    reason: str | None
    """Reason why no tier covers the difference; ``None`` if one does."""


def choose_tier(golden: Keys, here: Keys) -> TierChoice:
    """Return the tier for the fingerprint keys of a golden and of this environment."""
    names = [*golden, *(name for name in here if name not in golden)]
    differs = tuple(
        KeyDifference(name, golden.get(name), here.get(name))
        for name in names
        if golden.get(name) != here.get(name)
    )
    unread = [name for name in names if _is_unread(here.get(name)) or _is_unread(golden.get(name))]
    if unread:
        reason = f"{', '.join(unread)}: cannot be read, so no tier applies"
        return TierChoice(None, differs, reason)
    is_perceptual = any(difference.key in PERCEPTUAL_KEYS for difference in differs)
    uncovered = [one.key for one in differs if not _is_covered(one, is_perceptual)]
    if uncovered:
        return TierChoice(None, differs, f"{', '.join(uncovered)}: no tier covers this difference")
    if is_perceptual:
        return TierChoice("T2", differs, None)
    return TierChoice("T1" if differs else "T0", differs, None)


def _is_covered(difference: KeyDifference, is_perceptual: bool) -> bool:
    """Return whether T1 or T2 covers one difference; ``is_perceptual``: T2 applies."""
    if difference.key not in NUMERIC_KEYS | PERCEPTUAL_KEYS:
        return False
    is_absent = difference.golden is None or difference.here is None
    return not is_absent or (is_perceptual and difference.key in _CLASS_KEYS)


def unread_keys(keys: Keys) -> list[str]:
    """Return the keys of an environment that could not be read, wholly or in part."""
    return [name for name, value in keys.items() if _is_unread(value)]


def _is_unread(value: object) -> bool:
    """Return whether a value is ``unknown``, or has it as a word (``cuda unknown``)."""
    return UNKNOWN in str(value).split()
