"""Entrants of a comparison: named, resolved, drawn and timed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from turbo_lab.compare.baseline import Baseline
from turbo_lab.compare.sides import Side, draw_side
from turbo_lab.documents.sweep import latest_timing
from turbo_lab.errors import InputError, JudgementError, TurboLabError
from turbo_lab.planning.resolved_sweep import ResolvedSweep, measuring, vary
from turbo_lab.request.request import Request
from turbo_lab.store.record import Timing
from turbo_lab.untrusted.redaction import redact

METRICS = ("clip_score", "r_precision")


@dataclass(frozen=True)
class Entrant:
    """One side to compare, at its own settings."""

    sweep: ResolvedSweep
    """Resolved sweep with exactly one cell."""
    label_words: tuple[str, ...] = ()
    """Label words that distinguish it from other entrants of its model and steps."""
    is_chosen: bool = False
    """``True`` if a person chose exactly this cell: it is compared at no other settings."""

    @property
    def label(self) -> str:
        """Model, number of steps and label words."""
        request = self.sweep.cells[0].request
        return entrant_label(request.model, request.num_inference_steps, self.label_words)

    def at(self, steps: int) -> Entrant:
        """Return the entrant with another number of steps."""

        def change(request: Request) -> Request:
            return dataclasses.replace(request, num_inference_steps=steps)

        return replace(self, sweep=vary(self.sweep, change))


def entrant_label(model: str, steps: int, words: Sequence[str]) -> str:
    """Return model, number of steps and label words, without credentials."""
    return " ".join([model, str(steps), "step" if steps == 1 else "steps", *map(redact, words)])


@dataclass(frozen=True)
class FailedEntrant:
    """An entrant that cannot be run here."""

    label: str
    """Label that it would have."""
    error: TurboLabError
    """Why not."""


@dataclass(frozen=True)
class Contender:
    """One entrant, drawn and timed."""

    label: str
    """Label of the entrant, such as ``nano-sdxl 25 steps``."""
    measured: Baseline
    """Measurements, in the form of a baseline."""
    timing: Timing
    """Result of the timing lane."""
    images: Mapping[str, Path]
    """PNG file of the first image of each prompt."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """Name of each source image's file, by digest; empty for text to image."""
    side: Side | None = None
    """Its images in the store. ``None``: they are not at hand."""

    @property
    def steps(self) -> int:
        """Number of denoising steps."""
        return self.measured.parameters.num_inference_steps


Entrants = Sequence[Entrant | FailedEntrant]


def drawn_entrant(entrant: Entrant | FailedEntrant) -> Contender:
    """Draw an entrant; raises its error if it cannot be run here."""
    if isinstance(entrant, FailedEntrant):
        raise entrant.error
    return draw(entrant)


def check_pairs(candidates: Entrants, baselines: Entrants) -> None:
    """Raise ``InputError`` before anything is drawn if the images of two sides cannot be paired."""
    runnable = [one for one in (*baselines, *candidates) if isinstance(one, Entrant)]
    for entrant in runnable[1:]:
        if _image_keys(entrant) != _image_keys(runnable[0]):
            raise InputError(
                f"compare: {entrant.label} draws other prompts or seeds than {runnable[0].label}, "
                "so that no two images are a pair; give prompts, seed and num_images once, for both"
            )


def _image_keys(entrant: Entrant) -> set[tuple[str, int]]:
    """Return prompt and seed of every image."""
    return {
        key
        for batch in entrant.sweep.cells[0].batches
        for key in zip(batch.layout.prompts, batch.layout.seeds, strict=True)
    }


def size_warnings(candidates: Entrants, baselines: Entrants) -> list[str]:
    """Return a warning for each baseline whose images have another size than the candidate's."""
    runnable = [one for one in candidates if isinstance(one, Entrant)]
    others = [one for one in baselines if isinstance(one, Entrant)]
    return [
        f"{entrant.label} is drawn at {_size(entrant)} and {one.label} at {_size(one)}: metrics of "
        "two sizes differ by the size, and no two images are compared; give resolution once, for "
        "both"
        for one in runnable
        for entrant in others
        if _size(entrant) != _size(one)
    ]


def _size(entrant: Entrant) -> str:
    recipe = entrant.sweep.cells[0].recipe
    return f"{recipe.width}x{recipe.height}"


def draw(entrant: Entrant) -> Contender:
    """Draw, measure and time one entrant, as far as the store does not hold the results.

    Raises :class:`JudgementError` if it cannot be drawn, timed or scored.
    """
    label = entrant.label
    side = draw_side(label, measuring(entrant.sweep, METRICS, "short"))
    timing = latest_timing(side.done.store, side.done.record)
    if timing is None:
        raise JudgementError(f"compare: {label}: could not be timed")
    scored = {m.name for m in side.measured.measurements}
    notes = {m.name: m.note for m in side.done.measurements[side.done.record.record_id]}
    lacking = [f"{name}: {notes.get(name)}" for name in METRICS if name not in scored]
    if lacking:
        raise JudgementError(f"compare: {label}: has no values per image ({'; '.join(lacking)})")
    origins = side.done.record.provenance.sources or {}
    names = {digest: origin.name for digest, origin in origins.items()}
    return Contender(label, side.measured, timing, side.first_images(), names, side)
