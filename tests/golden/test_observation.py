"""What an observation derives from its stages."""

from __future__ import annotations

from tests.golden.observations import changed, observation
from turbo_lab.golden.stages import mark, outcome_digest


def test_marks_outcome_and_pixels_follow_from_the_stages() -> None:
    seen = observation()
    assert seen.marks == tuple(mark(value) for value in seen.stages)
    assert seen.outcome == outcome_digest(seen.marks)
    assert seen.pixels.shape == (1, 32, 32, 3) and seen.pixels.dtype == "uint8"
    assert changed(seen, "vae", 1e-3).outcome != seen.outcome
