"""diversity on features: by hand, by the double loop, and where it is unscored."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from turbo_lab.metrics.diversity import compute, diversity
from turbo_lab.metrics.inputs import MetricInputs

EYE = np.eye(3)


def test_diversity_by_hand() -> None:
    """Orthogonal pair: 1; equal pair: 0; opposite pair: 2; a single image does not count."""
    images = np.array([[1, 0], [0, 1], [3, 3], [1, 1], [0, 2], [0, -1], [1, 0]], dtype=float)
    score = diversity(images, ("a", "a", "b", "b", "c", "c", "d"))
    assert score.value == pytest.approx(1.0) and score.n == 3
    assert score.note is not None and "2 seeds per prompt" in score.note
    equal = diversity(np.ones((4, 5)), ("a",) * 4)
    assert equal.value == pytest.approx(0.0, abs=1e-12)


def test_diversity_equals_the_double_loop() -> None:
    rows = np.random.default_rng(4).normal(size=(7, 6))
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    pairs = [1 - unit[i] @ unit[j] for i in range(7) for j in range(i)]
    assert diversity(rows, "p" * 7).value == pytest.approx(np.mean(pairs))


def test_diversity_of_one_seed_is_unscored() -> None:
    score = diversity(EYE, "abc")
    assert score.value is None and score.note is not None and "unscored" in score.note


def test_each_prompt_counts_once_whatever_its_number_of_images() -> None:
    """Against scipy's pairwise cosine distances; more seeds of one prompt add no weight."""
    rows = np.random.default_rng(5).normal(size=(9, 4))
    prompts = ("a",) * 3 + ("b",) * 6
    wanted = (pdist(rows[:3], "cosine").mean() + pdist(rows[3:], "cosine").mean()) / 2
    score = diversity(rows, prompts)
    assert score.value == pytest.approx(wanted) and score.n == 2
    assert score.note is not None and "3 seeds per prompt, fewer than the advised 4" in score.note


def test_enough_prompts_and_seeds_have_an_interval_and_no_note() -> None:
    rows = np.random.default_rng(6).normal(size=(32, 4))
    score = diversity(rows, [str(i // 4) for i in range(32)])
    assert score.ci95 is not None and score.value is not None
    assert score.ci95[0] < score.value < score.ci95[1] and score.note is None


def test_copies_of_one_image_are_unscored() -> None:
    def not_loaded() -> None:
        raise AssertionError("nothing is loaded for a metric that is not scored")

    score = compute(MetricInputs((), ("a", "a"), (7, 7), not_loaded, not_loaded))
    assert (score.value, score.note) == (None, "unscored: needs at least 2 images")
