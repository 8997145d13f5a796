"""Inputs of a small gate of the shipped model against itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from turbo_lab import config
from turbo_lab.api.sides import compose_side
from turbo_lab.gate.inputs import GateInputs, gate_inputs
from turbo_lab.gate.policy import Policy

Inputs = Callable[..., GateInputs]


@pytest.fixture
def small_gate(tmp_path: Path) -> Inputs:
    """Return a function from further words to the inputs of a gate on eight prompts."""
    common = [
        "gate=release",
        "gate.goldens=none",
        "gate.quality.r_precision.margin=0.5",
        "prompts=scenes-demo",
        "num_images=8",
        "batch_size=8",
        "num_threads=1",
        "tracking=none",
        f"store={tmp_path / 'store'}",
    ]

    def inputs(*words: str) -> GateInputs:
        points = config.compose("gate", [*common, *words])
        candidate = compose_side("gate", "candidate", [*common, *words])
        baseline = compose_side("gate", "baseline", [*common, *words])
        return gate_inputs(Policy.from_config(points[0].group("gate")), candidate, baseline)

    return inputs
