"""The thresholds that ship, with the calibration they came from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from turbo_lab.documents.document import to_plain
from turbo_lab.documents.golden import Margin, ThresholdProvenance, Thresholds
from turbo_lab.errors import StoreError
from turbo_lab.golden.library import GoldenLibrary, packaged_root
from turbo_lab.identity import as_plain, digest
from turbo_lab.store import record as records
from turbo_lab.untrusted.paths import confined, read_regular

# A threshold is this many times the worst that harmless changes were seen to do, and
# calibration fails where it has come to be more than RATCHET times that.
SAFETY, RATCHET = 4.0, 12.0
# What a figure is allowed though nothing was seen: rounding that a few runs may miss.
FLOORS: Mapping[str, float] = {
    "latents_max_abs": 1e-5,
    "latents_relative_l2": 1e-6,
    "vae_relative_l2": 2e-6,
    "window_density": 0.005,
    "tile_ssim_loss": 1e-3,
    "embedding_distance": 1e-5,
}
_ANEW = "restore it, or measure again: turbo-lab golden calibrate --write"
STAGE_FLOOR = 2e-6
"""Of a stage's relative distance: what its sketch resolves."""


def margin(figure: str, values: list[float]) -> Margin:
    """A threshold from what harmless changes did to one figure."""
    seen = Margin(0.0, max(values, default=0.0), len(values))
    return replace(seen, threshold=SAFETY * noise_of(figure, seen))


def noise_of(figure: str, seen: Margin) -> float:
    """What harmless changes do to a figure: the worst that was seen, or rounding."""
    return max(seen.observed, FLOORS.get(figure, STAGE_FLOOR))


def is_loose(figure: str, stored: Margin, now: Margin) -> bool:
    """Whether a stored threshold is far above what is seen now."""
    return stored.threshold > RATCHET * noise_of(figure, now)


def read_thresholds(path: Path | None = None) -> dict[str, dict[str, Margin]]:
    """By tier, then figure; empty where nothing was calibrated."""
    path = path or packaged_root() / "thresholds.json"
    if not path.exists():
        return {}
    try:
        values = json.loads(read_regular(path, follow_links=True, error=StoreError).decode())
        rest = records.check_document(values, "golden-thresholds", str(path))
        claimed, found = rest.pop("digest", None), digest(as_plain(rest))
        read = {
            tier: {name: Margin(**margin) for name, margin in figures.items()}
            for tier, figures in rest["thresholds"].items()
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{path}: is damaged ({error}); {_ANEW}") from error
    if claimed != found:
        raise StoreError(f"{path}: was edited by hand (its digest does not fit); {_ANEW}")
    return read


def thresholds_of(library: GoldenLibrary) -> dict[str, dict[str, Margin]]:
    """Of a library's own calibration, else the packaged ones."""
    own = confined(library.root, "thresholds.json", str(library.root), StoreError)
    return read_thresholds(own if own.exists() else None)


def thresholds_document(thresholds: Thresholds, provenance: ThresholdProvenance) -> dict[str, Any]:
    """Inverse of :func:`read_thresholds`, with where the figures came from."""
    values = {
        "thresholds": {
            tier: {name: vars(margin) for name, margin in figures.items()}
            for tier, figures in thresholds.items()
        },
        "provenance": to_plain(provenance),
    }
    return records.document("golden-thresholds", {**values, "digest": digest(values)})
