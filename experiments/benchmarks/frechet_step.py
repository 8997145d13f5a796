"""The Fréchet step at 2,048 features: ours, torchmetrics' and scipy's sqrtm, side by side.

    python -m experiments.benchmarks.frechet_step [--features 2048] [--rounds 3] [--num-threads 1]

Features are in memory and the reference is the same for all; what an
evaluation repeats is timed, with the reference's root kept in its file: from
the images' moments to the distance, and from their features. sqrtm is called as
clean-fid does it, on the product of the covariances. Rounds take turns. Prints one
Markdown row a way, and fails where two ways disagree by more than 1e-6.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

Moments = tuple[np.ndarray, np.ndarray]


def moments_of(features: np.ndarray) -> Moments:
    """Mean and covariance."""
    return features.mean(axis=0), np.cov(features, rowvar=False)


def sqrtm_distance(own: Moments, reference: Moments) -> float:
    """The distance by scipy's square root of the unsymmetric product."""
    from scipy.linalg import sqrtm

    root = np.real(sqrtm(own[1] @ reference[1]))
    shift = np.square(own[0] - reference[0]).sum()
    return float(shift + np.trace(own[1]) + np.trace(reference[1]) - 2 * np.trace(root))


def torchmetrics_distance(own: Moments, reference: Moments) -> float:
    """The distance by torchmetrics' own function, in float64."""
    import torch
    from torchmetrics.image.fid import _compute_fid

    return float(_compute_fid(*(torch.from_numpy(part) for part in (*own, *reference))))


def compare(ways: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each round, by way; raises where the distances differ."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds):
        values = {}
        for name in list(ways)[:: -1 if turn % 2 else 1]:
            began = time.perf_counter()
            values[name] = ways[name]()
            seconds[name].append(time.perf_counter() - began)
        np.testing.assert_allclose(list(values.values()), values["turbo-lab"], rtol=1e-6)
    return seconds


def print_rows(label: str, seconds: dict[str, list[float]]) -> None:
    """One a way, by medians."""
    ours = statistics.median(seconds["turbo-lab"])
    for name, taken in seconds.items():
        median = statistics.median(taken)
        each = ", ".join(f"{value:.2f}" for value in taken)
        print(f"| {label} | {name} | {median:.3f} | {each} | {median / ours:.1f} |", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--features", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--num-threads", type=int, default=1)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = str(options.num_threads)
    import torch

    from turbo_lab.metrics.frechet import frechet_distance, frechet_distance_of_moments
    from turbo_lab.metrics.reference import build_reference, load_reference, save_reference

    torch.set_num_threads(options.num_threads)
    d, draws = options.features, np.random.default_rng(0)
    scale = np.exp(draws.normal(0, 1, d))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "reference.safetensors"
        save_reference(path, build_reference(draws.normal(size=(5 * d, d)) * scale, "r", "e"))
        reference = load_reference(path)
    print("| from | way | median s | each round | times ours |\n| --- | --- | --- | --- | --- |")
    there = reference.mean, reference.covariance
    many, few = (draws.normal(0.1, 1.1, (n, d)) * scale for n in (5 * d // 2, 500))
    here = moments_of(many)
    moments: dict[str, Callable[[], float]] = {
        "turbo-lab": lambda: frechet_distance_of_moments(*here, reference),
        "torchmetrics": lambda: torchmetrics_distance(here, there),
        "scipy sqrtm": lambda: sqrtm_distance(here, there),
    }
    print_rows("moments", compare(moments, options.rounds))
    for rows in (many, few):
        ways: dict[str, Callable[[], float]] = {
            "turbo-lab": lambda x=rows: frechet_distance(x, reference),
            "torchmetrics": lambda x=rows: torchmetrics_distance(moments_of(x), there),
        }
        if len(rows) > d:  # sqrtm of a product without full rank is not accurate
            ways["scipy sqrtm"] = lambda x=rows: sqrtm_distance(moments_of(x), there)
        print_rows(f"{len(rows)} features", compare(ways, options.rounds))


if __name__ == "__main__":
    main()
