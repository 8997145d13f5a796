"""The line through latencies: against numpy and scipy, and where there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pytest
from scipy import stats

from turbo_lab.analysis.latency_fit import fits, position


@dataclass(frozen=True)
class Cell:
    median_s: float | None
    axes: Mapping[str, object]
    batch_size: int | None = None


def cell(p50: float | None, **axes: object) -> Cell:
    return Cell(p50, axes)


def test_line_and_intervals_are_those_of_scipy() -> None:
    sizes = np.array([1.0, 2, 4, 8, 16, 64])
    times = 0.02 + 0.013 * sizes + np.random.default_rng(3).normal(0, 0.004, 6)
    cells = [cell(float(t), batch_size=int(n)) for n, t in zip(sizes, times, strict=True)]
    (fit,) = fits(cells)
    oracle = stats.linregress(sizes, times)
    t = stats.t.ppf(0.975, 4)
    assert (fit.fixed_s, fit.per_unit_s) == pytest.approx((oracle.intercept, oracle.slope))
    assert fit.per_unit_ci95[1] - fit.per_unit_s == pytest.approx(t * oracle.stderr)
    assert fit.fixed_ci95[1] - fit.fixed_s == pytest.approx(t * oracle.intercept_stderr)
    assert fit.r_squared == pytest.approx(oracle.rvalue**2) and fit.n == 6
    assert "for each image" in fit.text and f"{oracle.slope * 1e3:.3g} ms" in fit.text


def test_a_line_needs_three_places_and_cells_that_differ_in_nothing_else() -> None:
    two = [cell(0.1, batch_size=1), cell(0.2, batch_size=2), cell(0.11, batch_size=1)]
    assert fits(two) == []
    grid = [
        cell(0.1 * steps * size, num_inference_steps=steps, batch_size=size)
        for steps in (1, 2, 4)
        for size in (1, 8)
    ]
    found = fits(grid)
    assert [fit.axis for fit in found] == ["num_inference_steps"] * 2
    assert [fit.where for fit in found] == [{"batch_size": 1}, {"batch_size": 8}]
    assert fits([cell(None, batch_size=n) for n in (1, 2, 4)]) == []
    assert fits([cell(0.1, guidance_scale=g) for g in (0, 1, 2)]) == []


def test_sizes_lie_by_their_pixels() -> None:
    assert position("resolution", "128x64") == 8192.0 and position("resolution", 64) == 4096.0
    assert position("seed", 3) is None and position("lora", "none") is None
    (fit,) = fits([cell(1e-6 * n * n, resolution=str(n)) for n in (64, 128, 256)])
    assert fit.per_unit_s == pytest.approx(1e-3) and fit.fixed_s == pytest.approx(0, abs=1e-9)
