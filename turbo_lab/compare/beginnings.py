"""Beginning of the images of a side: noise, or source images at a strength.

Owns the rule that images which begin from different pictures, or at different strengths, are not
compared: their difference would say nothing about the pipelines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from turbo_lab.compare.baseline import Baseline
from turbo_lab.compare.paired import Key
from turbo_lab.errors import InputError
from turbo_lab.planning.resolved_sweep import ResolvedSweep


@dataclass(frozen=True)
class Beginning:
    """Source images and strength of one side, or neither."""

    name: str
    """Name of the side in messages."""
    image: str | None
    """File or folder of the source images, as the user named it. ``None``: text to image."""
    strength: float | None
    """Share of the steps that are run. ``None``: text to image."""
    size: str
    """Size of the images: a source has another digest at another size."""
    sources: Mapping[Key, str]
    """Digest of the source image by prompt and seed; empty for text to image, and for a stored
    baseline of a version that kept none."""

    @classmethod
    def of(cls, name: str, sweep: ResolvedSweep) -> Beginning:
        """Return what the images of a sweep of one cell begin from."""
        cell = sweep.cells[0]
        sources: dict[Key, str] = {}
        for batch in cell.batches:
            rows = zip(batch.layout.prompts, batch.layout.seeds, strict=True)
            sources |= dict(zip(rows, batch.layout.sources, strict=False))
        size = f"{cell.recipe.width}x{cell.recipe.height}"
        return cls(name, cell.request.image, cell.request.strength, size, sources)

    @classmethod
    def stored(cls, name: str, baseline: Baseline) -> Beginning:
        """Return what the images of a stored baseline begin from."""
        settings, recipe = baseline.parameters, baseline.recipe
        sources = dict(zip(baseline.keys, baseline.sources or (), strict=False))
        size = f"{recipe.width}x{recipe.height}"
        return cls(name, settings.image, settings.strength, size, sources)

    def described(self, with_digests: bool) -> str:
        """Return what the images begin from, for a message."""
        if self.image is None:
            return "noise"
        digests = sorted({digest[:12] for digest in self.sources.values()})
        more = f" and {len(digests) - 1} more" if len(digests) > 1 else ""
        found = f" (source {digests[0]}{more})" if with_digests and digests else ""
        return f"image={self.image}{found} at strength={self.strength:g}"


def check_same_beginning(command: str, candidate: Beginning, baseline: Beginning) -> None:
    """Raise :class:`InputError`, with both, if two sides begin from different images."""
    is_other = _has_other_sources(candidate, baseline)
    if candidate.strength == baseline.strength and not is_other:
        return
    remedy = (
        "give image and strength once, for both"
        if is_other or candidate.image is None or baseline.image is None
        else "give strength once, for both; turbo-lab sweep shows what strength does"
    )
    raise InputError(
        f"{command}: {candidate.name} begins from {candidate.described(is_other)}, "
        f"{baseline.name} from {baseline.described(is_other)}: such images do not compare; {remedy}"
    )


def _has_other_sources(candidate: Beginning, baseline: Beginning) -> bool:
    """Return whether images of one prompt and seed begin from different source images."""
    if not candidate.sources or not baseline.sources or candidate.size != baseline.size:
        return False
    common = [key for key in candidate.sources if key in baseline.sources]
    if not common:
        return set(candidate.sources.values()).isdisjoint(baseline.sources.values())
    return any(candidate.sources[key] != baseline.sources[key] for key in common)
