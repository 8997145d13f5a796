"""Kernel distances to a reference set: KID and CMMD, unbiased at any N.

Our own, in float64 and over all pairs: torchmetrics' KID draws subsets from the
global generator in float32 (off by 1-2.5% at zero) and calls their spread a
standard deviation; the published CMMD is biased. Both need the reference's
features, not only its moments.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence

import numpy as np
import numpy.typing as npt

from turbo_lab.analysis.stats import MIN_CLUSTERS, cluster_index, t_quantile
from turbo_lab.metrics.inputs import Floats, MetricInputs, Score, unit_rows
from turbo_lab.metrics.reference import Reference, check_extractor

Array = npt.NDArray[np.float64]
Kernel = Callable[[Array, Array], Array]
CMMD_SIGMA, CMMD_SCALE = 10.0, 1000.0
_FEWEST = 2


def compute_kid(inputs: MetricInputs) -> Score:
    """Compute ``kid`` of one cell."""
    return _score(inputs, polynomial_kernel, lambda features: features.astype(np.float64))


def compute_cmmd(inputs: MetricInputs) -> Score:
    """Compute ``cmmd`` of one cell; features are normalised, as in the paper."""
    return _score(inputs, gaussian_kernel, unit_rows)


def kid(features: Floats, reference: Floats) -> float:
    """Compute the unbiased squared MMD of (N, d) and (M, d), cubic kernel; lower is better.

    Binkowski et al. 2018 (arXiv 1801.01401), section 4; N, M >= 2. May be
    negative near zero. Raises ``ValueError`` for fewer rows or unequal d.
    """
    return mmd2(features.astype(np.float64), reference.astype(np.float64), polynomial_kernel)


def cmmd(features: Floats, reference: Floats, biased: bool = False) -> float:
    """Compute 1000 times the squared MMD, Gaussian kernel of sigma 10, of rows as given.

    Jayasumana et al. 2024 (arXiv 2401.09603), equation 4, on normalised CLIP
    embeddings. ``biased``: the published code's estimate, diagonals included,
    which is 0.02 where the truth is 0. Lower is better.
    """
    return mmd2(features.astype(np.float64), reference.astype(np.float64), gaussian_kernel, biased)


def polynomial_kernel(a: Array, b: Array) -> Array:
    """Compute ``(a b' / d + 1)^3``: (N, d) and (M, d) to (N, M)."""
    values: Array = (a @ b.T / a.shape[1] + 1.0) ** 3
    return values


def gaussian_kernel(a: Array, b: Array) -> Array:
    """Compute ``1000 exp(-|a - b|^2 / (2 * 10^2))``: (N, d) and (M, d) to (N, M)."""
    squares = (a * a).sum(1)[:, None] + (b * b).sum(1)[None] - 2 * a @ b.T
    values: Array = CMMD_SCALE * np.exp(-np.maximum(squares, 0) / (2 * CMMD_SIGMA**2))
    return values


def mmd2(a: Array, b: Array, kernel: Kernel, biased: bool = False) -> float:
    """Compute ``mean k(a, a') + mean k(b, b') - 2 mean k(a, b)``.

    Pairs of equal indices are left out unless ``biased``.
    """
    _check(a, b)
    crossed = float(kernel(a, b).mean())
    return _mean(kernel(a, a), biased) + _mean(kernel(b, b), biased) - 2 * crossed


def jackknife_interval(
    a: Array, b: Array, kernel: Kernel, clusters: Sequence[Hashable], level: float = 0.95
) -> tuple[float, float] | None:
    """Compute the interval of :func:`mmd2`, leaving out one cluster of ``a`` at a time.

    Efron and Stein 1981: the spread of the leave-one-out values, Student's t.
    ``None`` below 8 clusters.
    """
    index = cluster_index(clusters)
    size = int(index.max(initial=-1)) + 1
    if size < MIN_CLUSTERS:
        return None
    within, between = kernel(a, a), kernel(a, b).mean(axis=1)
    np.fill_diagonal(within, 0.0)
    rows, total, n = within.sum(axis=1), within.sum(), len(a)
    other = _mean(kernel(b, b), False)
    left = np.empty(size)
    for cluster in range(size):
        mine = index == cluster
        kept = n - int(mine.sum())
        # Pairs with a row of the cluster go; those within it are taken off twice by its rows.
        pairs = total - 2 * rows[mine].sum() + within[np.ix_(mine, mine)].sum()
        left[cluster] = pairs / (kept * (kept - 1)) + other - 2 * between[~mine].mean()
    value = total / (n * (n - 1)) + other - 2 * between.mean()
    error = math.sqrt((size - 1) / size * float(np.square(left - left.mean()).sum()))
    half = t_quantile((1 + level) / 2, size - 1) * error
    return float(value - half), float(value + half)


def _score(inputs: MetricInputs, kernel: Kernel, prepare: Callable[[Floats], Array]) -> Score:
    reference: Reference = inputs.reference
    check_extractor(reference, inputs.extractor.name, inputs.extractor.digest)
    if reference.features is None:
        lacks = "unscored: the reference holds no features; turbo-lab reference build --features"
        return Score(None, 0, note=lacks)
    if len(inputs.image_features) < _FEWEST:
        return Score(None, len(inputs.image_features), note="unscored: needs at least 2 images")
    rows, others = prepare(inputs.image_features), prepare(reference.features)
    ci95 = jackknife_interval(rows, others, kernel, inputs.prompts)
    note = None if ci95 else f"no interval: fewer than {MIN_CLUSTERS} prompts"
    return Score(mmd2(rows, others, kernel), len(rows), ci95, note)


def _mean(gram: Array, biased: bool) -> float:
    n = len(gram)
    if biased:
        return float(gram.mean())
    return float((gram.sum() - np.trace(gram)) / (n * (n - 1)))


def _check(a: Array, b: Array) -> None:
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ValueError(f"features: {a.shape} and {b.shape}: must be (N, d) and (M, d)")
    if min(len(a), len(b)) < _FEWEST:
        raise ValueError(f"features: {len(a)} and {len(b)} rows; at least 2 of each are needed")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("features: values are not finite")
