"""Fréchet distance of features to a reference set: ``fd/<extractor>``.

Owns the distance; its other side is a file of :mod:`turbo_lab.metrics.reference`.
Never called "FID": that name means one Inception network with one resize.
torchmetrics and torch-fidelity take the eigenvalues of the unsymmetric product
(2.4 s at d = 2048) and are the oracles of the tests; here the reference's
root is cached and the product symmetric (1.1 s), or, for fewer samples than
features, of the sample's size (0.09 s).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from turbo_lab.analysis.stats import MIN_CLUSTERS, Interval, cluster_index
from turbo_lab.errors import InputError
from turbo_lab.metrics.inputs import Floats, MetricInputs, Score
from turbo_lab.metrics.reference import Reference, check_extractor, finite_rows

Array = npt.NDArray[np.float64]
BOOTSTRAP_RESAMPLES = 400
BOOTSTRAP_MAX_FEATURES = 512
"""Number of features above which no interval is computed: one resample takes 0.1 s or more."""


def compute(inputs: MetricInputs) -> Score:
    """Compute the metric of one cell.

    Raises :class:`InputError` for a reference of another extractor.
    """
    reference: Reference = inputs.reference
    check_extractor(reference, inputs.extractor.name, inputs.extractor.digest)
    return frechet_score(inputs.image_features, reference, inputs.prompts)


def frechet_score(
    features: Floats,
    reference: Reference,
    clusters: Sequence[Hashable] | None = None,
    seed: int = 0,
) -> Score:
    """Fréchet distance with its interval; N >= 2, lower is better.

    ``features``: (N, d) float. Biased upwards by about ``sigma^2 d (d + 5) / 4N``
    for an isotropic spread: only compare equal N, and do not gate on N < d
    (noted). The interval is :func:`bootstrap_interval`, of the distance at
    infinite N. It is withheld where it leaves the value out: the bias that
    resampling takes off is then larger than the spread, or was not there (one image
    per prompt and a reference of the same prompts).
    """
    data = _checked(features, reference)
    value = frechet_distance(data, reference)
    n, d = data.shape
    if n < d:
        note = f"n={n} is fewer than the {d} features: biased, not for gating; no interval"
        return Score(value, n, None, note)
    ci95 = bootstrap_interval(data, reference, clusters, seed)
    if ci95 is None or not ci95[0] <= value <= ci95[1]:
        return Score(value, n, None, _why_no_interval(ci95, d))
    of = "images of these prompts" if _repeats(clusters, n) else "prompts"
    note = f"biased upwards at this n; the interval is for infinitely many {of}"
    return Score(value, n, ci95, note)


def compute_infinity(inputs: MetricInputs) -> Score:
    """Compute ``fd_infinity`` of one cell."""
    reference: Reference = inputs.reference
    check_extractor(reference, inputs.extractor.name, inputs.extractor.digest)
    return frechet_infinity(inputs.image_features, reference, inputs.prompts)


def frechet_infinity(
    features: Floats,
    reference: Reference,
    clusters: Sequence[Hashable] | None = None,
    seed: int = 0,
    points: int = 15,
) -> Score:
    """Extrapolate the distance to infinite N: a line in 1/N through subsets, at 1/N = 0.

    Chong and Forsyth 2020 (arXiv 1911.07023): N from a tenth of the sample (but
    not below 2 d) to all of it, subsets drawn without replacement. If every prompt
    has several images, a subset holds equally many of each, so that the line
    describes infinitely many images of *these* prompts: random rows would unbalance
    the prompts, which cause most of the spread, and give 6.0 instead of 9.2.
    Unscored below 4 d rows, or with fewer than 3 sizes. The interval is
    :func:`bootstrap_interval`, of the same distance; the line's own residuals
    do not describe a new sample (42% coverage at a nominal 95%).
    """
    data = _checked(features, reference)
    n, d = data.shape
    if n < 4 * d:
        return Score(None, n, note=f"unscored: n={n} is fewer than 4 x {d} features")
    generator = np.random.default_rng(seed)
    subsets = list(_subsets(generator, n, fewest=2 * d, clusters=clusters, points=points))
    sizes = np.array([len(rows) for rows in subsets])
    if len(set(sizes.tolist())) < 3:
        return Score(None, n, note="unscored: a line needs 3 sizes; raise num_images")
    values = np.array([frechet_distance(data[rows], reference) for rows in subsets])
    value = float(np.polynomial.Polynomial.fit(1.0 / sizes, values, 1)(0.0))
    ci95 = bootstrap_interval(data, reference, clusters, seed)
    if ci95 is None or ci95[1] <= 0:
        return Score(value, n, None, _why_no_interval(ci95, d))
    of = "images of these prompts" if _repeats(clusters, n) else "prompts"
    return Score(value, n, ci95, f"extrapolated to infinitely many {of}")


def _subsets(
    generator: np.random.Generator,
    n: int,
    fewest: int,
    clusters: Sequence[Hashable] | None,
    points: int,
) -> Iterator[npt.NDArray[np.int64]]:
    """Yield the rows of about ``points`` subsets, from ``max(fewest, n / 10)`` rows to all."""
    least = max(fewest, n // 10)
    repeats = _repeats(clusters, n)
    if not repeats:
        for size in np.linspace(least, n, points).astype(int):
            yield generator.permutation(n)[:size]
        return
    index = cluster_index(clusters or ())
    size, rounds = int(index.max()) + 1, repeats
    kept = [k for k in range(1, rounds + 1) if k * size >= least]
    for k in kept:
        for _ in range(1 if k == rounds else max(1, points // len(kept))):
            order = generator.permutation(n)
            yield order[_rank_within(index[order]) < k]


def _rank_within(labels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return (n,) the number of earlier rows with the same label."""
    order = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[order], labels[order])
    ranks = np.empty_like(labels)
    ranks[order] = np.arange(len(labels)) - starts
    return ranks


def _repeats(clusters: Sequence[Hashable] | None, n: int) -> int:
    """Return the fewest images of any prompt; 0 if some prompt has only one."""
    if clusters is None or len(clusters) != n:
        return 0
    fewest = int(np.bincount(cluster_index(clusters)).min())
    return fewest if fewest >= 2 else 0


def _why_no_interval(ci95: Interval | None, d: int) -> str:
    if ci95 is not None:
        return "no interval: the bias at this n exceeds the spread; generate more images per prompt"
    if d > BOOTSTRAP_MAX_FEATURES:
        return f"no interval: more than {BOOTSTRAP_MAX_FEATURES} features"
    return f"no interval: fewer than {MIN_CLUSTERS} prompts"


def frechet_distance(features: Floats, reference: Reference) -> float:
    """Compute ``|m - m_r|^2 + tr(S) + tr(S_r) - 2 tr((S S_r)^(1/2))`` (Heusel et al. 2017, eq. 6).

    ``features``: (N, d), N >= 2. Rounding below zero is cut off at 0.
    """
    data = _checked(features, reference)
    mean = data.mean(axis=0)
    centred = (data - mean) / np.sqrt(len(data) - 1)
    if len(data) < data.shape[1]:  # R S R and Xc S_r Xc' share their nonzero eigenvalues
        product = centred @ reference.covariance @ centred.T
    else:
        half = centred @ reference.root
        product = half.T @ half
    return _assemble(mean, float(np.square(centred).sum()), product, reference)


def frechet_distance_of_moments(mean: Floats, covariance: Floats, reference: Reference) -> float:
    """Return the distance of known moments, (d,) and (d, d)."""
    product = reference.root @ covariance.astype(np.float64) @ reference.root
    return _assemble(mean.astype(np.float64), float(np.trace(covariance)), product, reference)


def bootstrap_interval(
    features: Floats,
    reference: Reference,
    clusters: Sequence[Hashable] | None = None,
    seed: int = 0,
    resamples: int = BOOTSTRAP_RESAMPLES,
) -> Interval | None:
    """Return the basic 95% bootstrap interval of the distance at infinite N.

    It is ``2 value - quantile``: a percentile bootstrap of an absolute Fréchet distance
    has 0% coverage. If every cluster has several rows, they are drawn within it (Rao
    and Wu 1988): the distance is then that of these prompts, which a reference often
    shares, and resampling prompts would remove a bias that is not there. Otherwise rows
    are drawn as if prompts were new: too low for a reference of the same prompts.
    The reference is taken as fixed. ``None`` below 8 clusters, and above
    :data:`BOOTSTRAP_MAX_FEATURES`. Each resample is a reweighting of rows
    already multiplied by the reference's root.
    """
    data = _checked(features, reference)
    within = _repeats(clusters, len(data)) > 0
    drawn = _resampled_distances(
        [data], reference, clusters=clusters, seed=seed, resamples=resamples, within=within
    )
    if drawn is None:
        return None
    value = frechet_distance(data, reference)
    low, high = np.quantile(drawn[0], [0.025, 0.975])
    return max(0.0, 2 * value - float(high)), max(0.0, 2 * value - float(low))


def difference_interval(
    candidate: Floats,
    baseline: Floats,
    reference: Reference,
    clusters: Sequence[Hashable] | None = None,
    seed: int = 0,
    resamples: int = BOOTSTRAP_RESAMPLES,
) -> Interval | None:
    """Compute the percentile 95% interval of ``fd(candidate) - fd(baseline)``, rows paired.

    (N, d) each, row i of both from the same prompt and seed; clusters are drawn
    jointly, so what the samples share cancels, and so does most of the bias. It
    over-covers (about 99%). ``None`` for N < d, below 8 clusters, and above
    :data:`BOOTSTRAP_MAX_FEATURES`. Raises ``ValueError`` for unequal shapes.
    """
    drawn = resampled_differences(
        candidate, baseline, reference=reference, clusters=clusters, seed=seed, resamples=resamples
    )
    if drawn is None:
        return None
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def resampled_differences(
    candidate: Floats,
    baseline: Floats,
    reference: Reference,
    clusters: Sequence[Hashable] | None = None,
    seed: int = 0,
    resamples: int = BOOTSTRAP_RESAMPLES,
) -> Array | None:
    """Return the (resamples,) draws of :func:`difference_interval`; ``None`` if it is."""
    first, second = _checked(candidate, reference), _checked(baseline, reference)
    if first.shape != second.shape:
        raise ValueError(f"features: {first.shape} and {second.shape} differ; compare equal N")
    if len(first) < first.shape[1]:
        return None
    drawn = _resampled_distances(
        [first, second], reference, clusters=clusters, seed=seed, resamples=resamples
    )
    return None if drawn is None else drawn[0] - drawn[1]


class _Rows:
    """One sample, prepared for distances of its rows with other weights."""

    def __init__(self, data: Array, reference: Reference) -> None:
        self._reference = reference
        self._shift = data.mean(axis=0)  # raw second moments cancel where mean >> spread
        self._rows = data - self._shift
        self._rotated = self._rows @ reference.root
        self._squares = np.square(self._rows).sum(axis=1)

    def distance(self, weights: Array) -> float:
        """Return the distance with row i counted ``weights[i]`` times."""
        total = float(weights.sum())
        mean, turned = weights @ self._rows / total, weights @ self._rotated / total
        product = (self._rotated.T * weights) @ self._rotated - total * np.outer(turned, turned)
        spread = float(weights @ self._squares - total * (mean @ mean))
        scale = total - 1
        return _assemble(mean + self._shift, spread / scale, product / scale, self._reference)


def _resampled_distances(
    samples: Sequence[Array],
    reference: Reference,
    clusters: Sequence[Hashable] | None,
    seed: int,
    resamples: int,
    within: bool = False,
) -> Array | None:
    """Return (len(samples), resamples) distances; all samples share each draw."""
    n, d = samples[0].shape
    index = cluster_index(range(n) if clusters is None else clusters)
    if len(index) != n:
        raise ValueError(f"clusters: {len(index)} labels for {n} rows")
    size = int(index.max()) + 1
    if size < MIN_CLUSTERS or d > BOOTSTRAP_MAX_FEATURES:
        return None
    generator, prepared = np.random.default_rng(seed), [_Rows(x, reference) for x in samples]
    drawn = np.empty((len(samples), resamples))
    counts = np.bincount(index)
    for i in range(resamples):
        if within:
            weights = _weights_within(generator, index, counts)
        else:
            picked = np.bincount(generator.integers(0, size, size), minlength=size)
            weights = picked[index].astype(np.float64)
        drawn[:, i] = [rows.distance(weights) for rows in prepared]
    return drawn


def _weights_within(
    generator: np.random.Generator, index: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]
) -> Array:
    """Return Rao and Wu's bootstrap weights of the rows, (n,), resampled within each cluster.

    A cluster of k rows is drawn from k - 1 times, and each draw weighs k / (k - 1): k draws
    would show only (k - 1) / k of the variance.
    """
    order, weights = np.argsort(index, kind="stable"), np.empty(len(index))
    ordered = counts[index[order]]
    for k in np.unique(counts):
        rows = order[ordered == k].reshape(-1, k)
        weights[rows] = generator.multinomial(k - 1, np.full(k, 1 / k), len(rows)) * (k / (k - 1))
    return weights


def _assemble(mean: Array, trace: float, product: Array, reference: Reference) -> float:
    eigenvalues = np.linalg.eigvalsh((product + product.T) / 2)
    cross = float(np.sqrt(np.clip(eigenvalues, 0, None)).sum())
    shift = float(np.square(mean - reference.mean).sum())
    return max(0.0, shift + trace + reference.trace - 2 * cross)


def _checked(features: Floats, reference: Reference) -> Array:
    data = finite_rows(features)
    if data.shape[1] != len(reference.mean):
        raise InputError(
            f"reference={reference.name}: {len(reference.mean)} features, but the images have "
            f"{data.shape[1]}"
        )
    if len(data) < 2:
        raise ValueError(f"features: {len(data)} samples; a covariance needs at least 2")
    return data
