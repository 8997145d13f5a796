"""Contenders: the number of steps at which a baseline takes as long as the candidate."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.recipes import PARAMETERS, RECIPE
from tests.small_sweeps import small_sweep
from turbo_lab.compare.baseline import Baseline
from turbo_lab.compare.contenders import (
    Contender,
    Entrant,
    compare_entrants,
    steps_of_equal_latency,
)
from turbo_lab.environment import Fingerprint
from turbo_lab.errors import InputError
from turbo_lab.store.record import LatencySummary, Timing


def timed(steps: int, p50: float, unet: float) -> Contender:
    latency = LatencySummary(mean=p50, p50=p50, p90=p50, p95=p50, p99=None, n=8, ci95=None)
    timing = Timing(
        cell_id="c",
        batch_size=1,
        latency_s=latency,
        throughput_images_per_s=1.0,
        samples_s=(p50,),
        stages_s={"unet": unet},
        first_call_s=1.0,
        peak_memory_bytes=1,
        fingerprint=Fingerprint({}, {}),
    )
    measured = Baseline(
        name="x",
        record_id="r",
        recipe=RECIPE,
        parameters=replace(PARAMETERS, num_inference_steps=steps),
        fingerprint=Fingerprint({}, {}),
        keys=(),
        pixel_sha256=(),
        measurements=(),
    )
    return Contender(f"{steps}", measured, timing, {})


@pytest.mark.parametrize(
    ("candidate", "own", "equal", "steps"),
    [
        # The line rises by 0.05 s per step, so 0.3 s are four steps.
        (timed(1, 0.3, 0.1), timed(25, 1.35, 1.2), timed(1, 0.15, 0.05), 4),
        # One point: a UNet call takes 0.2 / 4 s.
        (timed(4, 0.5, 0.1), timed(4, 0.3, 0.2), timed(4, 0.3, 0.2), 8),
        # One step already takes longer.
        (timed(1, 0.1, 0.1), timed(25, 1.35, 1.2), timed(1, 0.2, 0.05), -1),
        # Noise: more steps seem faster.
        (timed(1, 0.1, 0.1), timed(2, 0.2, 0.1), timed(1, 0.21, 0.05), None),
    ],
)
def test_steps_of_equal_latency(
    candidate: Contender, own: Contender, equal: Contender, steps: int | None
) -> None:
    assert steps_of_equal_latency(candidate, own, equal) == steps


def test_an_entrant_of_another_strength_is_refused_before_anything_is_drawn(
    tiny_sdxl_dir: Path,
) -> None:
    words = ("image=shapes", "num_inference_steps=2")
    candidate, baseline = (
        Entrant(small_sweep(tiny_sdxl_dir, *words, f"strength={strength}")) for strength in (0.5, 1)
    )
    with pytest.raises(InputError, match=r"at strength=0\.5, .* at strength=1: such images do not"):
        compare_entrants(candidate, [baseline])
