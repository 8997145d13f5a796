"""How often the 95% intervals hold the truth, by simulation where the truth is known.

    python -m experiments.benchmarks.interval_coverage [--draws 500] [--seed 0]

Each draw is a fresh sample of the size that a small evaluation has; images of
one prompt share a part, as they do. The truth of scalar means is exact; of a
Fréchet distance it is that of infinitely many images of the draw's prompts, of
the other distances that of the populations, to the fixed reference. Prints one
Markdown row an interval, with the binomial 95% interval of the coverage.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import cache

import numpy as np

from turbo_lab.analysis.stats import (
    Interval,
    bootstrap_mean_ci,
    bootstrap_ratio_ci,
    median_ci,
    proportion_ci,
)
from turbo_lab.metrics.diversity import diversity
from turbo_lab.metrics.frechet import (
    bootstrap_interval,
    difference_interval,
    frechet_distance_of_moments,
)
from turbo_lab.metrics.kernel import (
    Kernel,
    gaussian_kernel,
    jackknife_interval,
    polynomial_kernel,
)
from turbo_lab.metrics.reference import Reference

Draw = Callable[[np.random.Generator], tuple[Interval | None, float]]
PROMPTS, EACH, D = 64, 4, 8
_CLUSTERS = [i // EACH for i in range(PROMPTS * EACH)]


def rows(draws: np.random.Generator, d: int) -> np.ndarray:
    """(PROMPTS x EACH, d) of unit variance; half of it is the prompt's own."""
    shared = np.repeat(draws.standard_normal((PROMPTS, d)), EACH, axis=0)
    return (shared + draws.standard_normal((PROMPTS * EACH, d))) / np.sqrt(2)


def mean(draws: np.random.Generator) -> tuple[Interval | None, float]:
    """``clip_score``: a mean over prompts, skewed."""
    values = np.exp(0.5 * rows(draws, 1)[:, 0])
    return bootstrap_mean_ci(values, _CLUSTERS), float(np.exp(0.125))


def proportion(draws: np.random.Generator) -> tuple[Interval | None, float]:
    """``r_precision``: nine of ten right, alike within a prompt."""
    hits = (rows(draws, 1)[:, 0] < 1.2815515655446004).astype(float)
    return proportion_ci(hits, _CLUSTERS), 0.9


def unit_reference() -> Reference:
    """Of a standard normal."""
    return Reference(np.zeros(D), np.eye(D), 10_000, "e", "unit", "d")


def frechet(draws: np.random.Generator) -> tuple[Interval | None, float]:
    """``fd`` and ``fd_infinity``: shift 0.2 and spread 1.2 in every feature, these prompts."""
    means = 0.2 + 1.2 * draws.standard_normal((PROMPTS, D)) / np.sqrt(2)
    noise = 1.2 * draws.standard_normal((PROMPTS * EACH, D)) / np.sqrt(2)
    spread = np.cov(means, rowvar=False, bias=True) + 0.72 * np.eye(D)
    truth = frechet_distance_of_moments(means.mean(axis=0), spread, unit_reference())
    data, seed = np.repeat(means, EACH, axis=0) + noise, int(draws.integers(2**31))
    return bootstrap_interval(data, unit_reference(), _CLUSTERS, seed, 200), truth


def frechet_of_rows(draws: np.random.Generator) -> tuple[Interval | None, float]:
    """Return the same for one image per prompt: prompts and images are drawn again."""
    truth = frechet_distance_of_moments(np.full(D, 0.2), 1.44 * np.eye(D), unit_reference())
    data, seed = 0.2 + 1.2 * draws.standard_normal((PROMPTS * EACH, D)), int(draws.integers(2**31))
    return bootstrap_interval(data, unit_reference(), None, seed, 200), truth


def distance_between(draws: np.random.Generator) -> tuple[Interval | None, float]:
    """``diversity``: two independent images of a prompt have a cosine of a half in the mean."""
    shared = draws.standard_normal((PROMPTS, 1, 512))
    features = (shared + draws.standard_normal((PROMPTS, EACH, 512))).reshape(-1, 512)
    return diversity(features, [str(label) for label in _CLUSTERS]).ci95, 0.5


def median(draws: np.random.Generator) -> tuple[Interval | None, float]:
    """``p50`` of 30 calls, skewed."""
    return median_ci(draws.lognormal(0.0, 0.2, 30)), 1.0


def ratio(draws: np.random.Generator) -> tuple[Interval | None, float]:
    """``bench A B``: 12 pairs of blocks whose speed drifts together; B takes a tenth longer."""
    drift = draws.lognormal(0.0, 0.2, 12)
    first, second = (drift * draws.lognormal(0.0, 0.03, 12) for _ in range(2))
    return bootstrap_ratio_ci(1.1 * second, first, seed=int(draws.integers(2**31))), 1.1


def difference(draws: np.random.Generator) -> tuple[Interval | None, float]:
    """Fréchet distances of a candidate and its baseline, which share most of their noise."""
    reference, noise = unit_reference(), rows(draws, D)
    base = 0.2 + 1.2 * noise
    other = 0.3 + 1.2 * (0.9 * noise + np.sqrt(1 - 0.81) * rows(draws, D))
    means = np.full(D, 0.3), np.full(D, 0.2)
    a, b = (frechet_distance_of_moments(m, 1.44 * np.eye(D), reference) for m in means)
    seed = int(draws.integers(2**31))
    return difference_interval(other, base, reference, _CLUSTERS, seed, 200), a - b


def kernel(function: Kernel) -> Draw:
    """``kid`` or ``cmmd`` to a fixed sample; the truth by a sample of 20,000."""

    @cache
    def fixed() -> tuple[np.ndarray, float]:
        draws = np.random.default_rng(1)
        reference, many = draws.standard_normal((400, D)), 0.3 + draws.standard_normal((20_000, D))
        # all pairs of 20,000 would take 3 GB; pairs of independent halves have the same mean
        halves = many.reshape(5, 2, 2000, D)
        within = float(np.mean([function(one, other).mean() for one, other in halves]))
        gram = function(reference, reference)
        other = (gram.sum() - np.trace(gram)) / (400 * 399)
        return reference, within + other - 2 * float(function(many, reference).mean())

    def draw(draws: np.random.Generator) -> tuple[Interval | None, float]:
        reference, truth = fixed()
        return jackknife_interval(0.3 + rows(draws, D), reference, function, _CLUSTERS), truth

    return draw


SIMULATIONS: dict[str, Draw] = {
    "mean over prompts (`clip_score`)": mean,
    "proportion (`r_precision`)": proportion,
    "mean over prompts (`diversity`)": distance_between,
    "median (`p50`)": median,
    "ratio of pairs (`bench A B`)": ratio,
    "Fréchet distance (`fd`, `fd_infinity`)": frechet,
    "the same, one image per prompt": frechet_of_rows,
    "difference of Fréchet distances": difference,
    "jackknife (`kid`)": kernel(polynomial_kernel),
    "jackknife (`cmmd`)": kernel(gaussian_kernel),
}


def coverage(draw: Draw, draws: int, seed: int) -> float:
    """Share of draws whose interval holds the truth; none may be without one."""
    generator, held = np.random.default_rng(seed), 0
    for _ in range(draws):
        interval, truth = draw(generator)
        assert interval is not None
        held += interval[0] <= truth <= interval[1]
    return held / draws


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print("| interval | draws | coverage | 95% of it |\n| --- | --- | --- | --- |")
    for name, draw in SIMULATIONS.items():
        found = coverage(draw, options.draws, options.seed)
        half = 1.96 * np.sqrt(found * (1 - found) / options.draws)
        between = f"{found - half:.1%} to {min(1.0, found + half):.1%}"
        print(f"| {name} | {options.draws} | {found:.1%} | {between} |", flush=True)


if __name__ == "__main__":
    main()
