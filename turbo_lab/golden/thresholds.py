"""Thresholds of the tiers above T0: how they follow from a calibration, and their file.

Owns the rule from observed noise to a threshold, and ``thresholds.json``. The file holds a
digest of itself; one that was edited by hand is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from turbo_lab.documents.document import read_document, to_document
from turbo_lab.documents.golden import Margin, ThresholdProvenance, Thresholds
from turbo_lab.errors import StoreError
from turbo_lab.golden.library import GoldenLibrary, packaged_root
from turbo_lab.identity import digest
from turbo_lab.store import record as records
from turbo_lab.untrusted.paths import confined, replace_file
from turbo_lab.untrusted.typed_json import to_plain

SAFETY = 4.0
"""Factor from the noise level of a metric to its threshold."""
RATCHET = 12.0
"""Factor by which a stored threshold may exceed the noise level seen now before it is loose."""
FLOORS: Mapping[str, float] = {
    "latents_max_abs": 1e-5,
    "latents_relative_l2": 1e-6,
    "vae_relative_l2": 2e-6,
    "window_density": 0.005,
    "tile_ssim_loss": 1e-3,
    "embedding_distance": 1e-5,
}
"""Smallest noise level of each metric: rounding that a few runs may not show."""
STAGE_FLOOR = 2e-6
"""Smallest noise level of a stage's relative distance: the resolution of its sketch."""

_FILE, _KIND = "thresholds.json", "golden-thresholds"
_REMEDY = "restore it, or measure again with turbo-lab golden calibrate --write"


@dataclass(frozen=True)
class _CalibratedThresholds:
    """Content of ``thresholds.json`` that is read back."""

    thresholds: Thresholds
    """Thresholds by tier, then by metric."""


def margin(metric: str, values: Sequence[float]) -> Margin:
    """Return the threshold that follows from the values of a metric under harmless changes."""
    observed = Margin(0.0, max(values, default=0.0), len(values))
    return replace(observed, threshold=SAFETY * noise_level(metric, observed))


def noise_level(metric: str, observed: Margin) -> float:
    """Return the largest value that harmless changes give a metric, at least its floor."""
    return max(observed.observed, FLOORS.get(metric, STAGE_FLOOR))


def is_loose(metric: str, stored: Margin, now: Margin) -> bool:
    """Return whether a stored threshold is far above the noise level seen now."""
    return stored.threshold > RATCHET * noise_level(metric, now)


def read_thresholds(path: Path | None = None) -> Thresholds:
    """Read a file of thresholds, by default the packaged one; empty if there is no file.

    Raises :class:`StoreError` if it was edited or is damaged.
    """
    path = path or packaged_root() / _FILE
    if not path.exists():
        return {}
    values = records.read_object(path, _REMEDY)
    content = records.check_document(values, _KIND, str(path))
    if content.pop("digest", None) != digest(content):
        raise StoreError(
            f"{path}: was edited by hand or is damaged (its digest does not match); {_REMEDY}"
        )
    return read_document(_CalibratedThresholds, _KIND, values, str(path)).thresholds


def library_thresholds(library: GoldenLibrary) -> Thresholds:
    """Return the thresholds of a library's own calibration, else the packaged ones."""
    own = confined(library.root, _FILE, str(library.root), StoreError)
    return read_thresholds(own if own.exists() else None)


def write_thresholds(
    library: GoldenLibrary, thresholds: Thresholds, provenance: ThresholdProvenance
) -> None:
    """Write new thresholds for every golden of a library, with how they were measured."""
    document = thresholds_document(thresholds, provenance)
    replace_file(library.root / _FILE, records.dump(document).encode())
    for golden in library.read_all().values():
        library.write_document(replace(golden, thresholds=thresholds))


def thresholds_document(
    thresholds: Thresholds, provenance: ThresholdProvenance
) -> Mapping[str, object]:
    """Return the content of ``thresholds.json``, with the digest of itself."""
    content = to_plain({"thresholds": thresholds, "provenance": provenance})
    return to_document(_KIND, {**content, "digest": digest(content)})
