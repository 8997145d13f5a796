"""A resolved sweep with other requests, metrics or timing."""

from __future__ import annotations

import dataclasses

from turbo_lab import config
from turbo_lab.planning.options import NOT_TRACKED
from turbo_lab.planning.resolved_sweep import measuring, resolve_points, vary


def test_varied_cells_are_those_of_the_same_overrides() -> None:
    base = ["prompts=scenes-demo", "num_images=4"]
    sweep = resolve_points(config.compose("plan", base))
    for changes, overrides in (
        ({"seed": 7, "num_images": 8}, ["seed=7", "num_images=8"]),
        ({"num_inference_steps": 3}, ["num_inference_steps=3"]),
        (
            {"guidance_scale": 2.0, "negative_prompt": "a bell"},
            ["guidance_scale=2", "negative_prompt='a bell'"],
        ),
    ):
        varied = vary(sweep, lambda request, c=changes: dataclasses.replace(request, **c))
        composed = resolve_points(config.compose("plan", [*base, *overrides]))
        assert [c.cell_id for c in varied.cells] == [c.cell_id for c in composed.cells]
        assert varied.cells != sweep.cells and varied.options == sweep.options


def test_measuring_replaces_metrics_and_timing_and_stops_tracking() -> None:
    sweep = resolve_points(config.compose("plan", ["timing=full"]))
    measured = measuring(sweep, ["clip_score"], "short")
    assert measured.options.metrics.names == ("clip_score",)
    assert measured.options.timing == "short" and measured.options.tracking == NOT_TRACKED
    assert measuring(sweep).options.timing is None and measuring(sweep).options.metrics.names == ()
    assert measured.sweep_id == sweep.sweep_id and measured.options.store == sweep.options.store
