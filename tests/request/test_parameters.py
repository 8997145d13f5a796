"""A cell's settings by config key."""

from __future__ import annotations

from dataclasses import replace

from tests.recipes import PARAMETERS
from turbo_lab import config
from turbo_lab.planning.resolved_sweep import resolve_points
from turbo_lab.request.parameters import Parameters


def test_settings_are_those_of_the_command_line() -> None:
    words = ["lora=flat@0.8+ink@0.5", "resolution=128", "seed=3", "device=cpu", "num_images=4"]
    (cell,) = resolve_points(config.compose("plan", words)).cells
    found = Parameters.of(cell)
    assert (
        found.by_key()
        == replace(
            PARAMETERS,
            prompts="scenes-heldout",
            resolution="128x128",
            lora="flat@0.8+ink@0.5",
            batch_size=16,
            seed=3,
            pipeline="stock",
        ).by_key()
    )
