"""The intervals' coverage, in small: the benchmark of the same name takes 500 draws."""

from __future__ import annotations

import pytest

from experiments.benchmarks.interval_coverage import SIMULATIONS, coverage


@pytest.mark.parametrize(
    "name",
    SIMULATIONS,
    ids=(
        "mean",
        "proportion",
        "diversity",
        "median",
        "ratio",
        "fd",
        "fd of rows",
        "difference",
        "kid",
        "cmmd",
    ),
)
def test_intervals_hold_the_truth(name: str) -> None:
    """51 or fewer of 60 has a probability of 0.003 at 95%, of 0.05 at 92%, of 0.98 at 75%."""
    assert coverage(SIMULATIONS[name], 60, seed=2) >= 52 / 60


def test_the_simulation_can_fail() -> None:
    draw = SIMULATIONS["mean over prompts (`clip_score`)"]

    def too_narrow(generator):  # type: ignore[no-untyped-def]
        (low, high), truth = draw(generator)
        middle = (low + high) / 2
        return (middle - (high - low) / 8, middle + (high - low) / 8), truth

    assert coverage(too_narrow, 60, seed=2) < 52 / 60
