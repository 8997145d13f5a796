"""Refusal of questions about the images of models with random weights.

Owns the one line that says so. Latency, memory and energy do not depend on the weights' values.
"""

from __future__ import annotations

from turbo_lab.cards import ModelFiles, VaeFiles
from turbo_lab.errors import InputError
from turbo_lab.planning.resolved_sweep import ResolvedSweep


def refuse_random_weights(sweep: ResolvedSweep, asked: str, remedy: str) -> None:
    """Raise :class:`InputError` if a model or VAE of the sweep has random weights.

    ``asked`` names what needs real weights, ``remedy`` says what to do instead.
    """
    library = sweep.library
    found: list[tuple[str, ModelFiles | VaeFiles]] = [
        *(("model", files) for _, files in library.models.values()),
        *(("vae", files) for files in library.vaes.values()),
    ]
    for key, files in found:
        if files.has_random_weights:
            raise InputError(
                f"{asked}: {key}={files.name} has random weights, so its images are noise; {remedy}"
            )
