"""What a pipeline takes of memory, measured in processes that hold nothing else."""

from __future__ import annotations

import pytest

from turbo_lab.api.sides import compose_side
from turbo_lab.execute.peak_memory import MemorySubject, compare_footprints
from turbo_lab.gate.mutation import hold_unet_twice

SMALL = ("prompt='a red apple'", "metrics=none", "num_threads=1", "tracking=none")


def subject(*overrides: str) -> MemorySubject:
    return MemorySubject.of(compose_side("gate", "candidate", [*SMALL, *overrides]))


@pytest.mark.slow
def test_a_larger_image_takes_more_and_the_same_takes_the_same() -> None:
    small = subject()
    large = subject("resolution=512")
    candidate, baseline = compare_footprints(large, small, num_pairs=2)
    # The weights take 24 MiB; libraries that were imported before do not count.
    assert all(10 << 20 < peak < 300 << 20 for peak in baseline)
    assert max(baseline) < 1.05 * min(baseline)
    assert min(candidate) > 1.5 * max(baseline)


@pytest.mark.slow
def test_a_unet_that_is_held_twice_shows_on_its_side_only() -> None:
    side = subject()
    candidate, baseline = compare_footprints(side, side, num_pairs=2, fault=hold_unet_twice)
    unet_bytes = 5_790_628 * 4
    assert min(candidate) - max(baseline) == pytest.approx(unet_bytes, rel=0.2)
