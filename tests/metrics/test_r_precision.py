"""r_precision on features: by hand, ties, and what its captions must be."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from turbo_lab.metrics.inputs import MetricInputs
from turbo_lab.metrics.r_precision import compute, r_precision

EYE = np.eye(3)


def test_r_precision_by_hand() -> None:
    images = np.array([[1.0, 0.1, 0.0], [0.9, 1.0, 0.0], [1.0, 0.0, 0.2], [0.0, 0.0, 1.0]])
    score = r_precision(images, EYE, ("a", "b", "c", "c"), ("a", "b", "c"))
    assert score.per_image == (1.0, 1.0, 0.0, 1.0)
    assert score.value == 0.75


def test_r_precision_of_an_image_like_every_caption_is_chance() -> None:
    """SGLang's gate passed a black frame; here a tie is worth its share."""
    score = r_precision(np.ones((6, 3)), EYE, "aabbcc", ("a", "b", "c"))
    assert score.value == pytest.approx(1 / 3)
    same_text = r_precision(EYE[[0]], EYE[[0, 0]], ("a",), ("a", "b"))
    assert same_text.value == 0.5


def test_r_precision_refuses_a_set_without_the_prompt() -> None:
    with pytest.raises(ValueError, match="the prompt 'z' is missing"):
        r_precision(EYE, EYE, ("a", "b", "z"), ("a", "b", "c"))
    with pytest.raises(ValueError, match="at least 2 distinct"):
        r_precision(EYE, EYE[:1], "aaa", ("a",))


def test_the_interval_is_wilsons_over_prompts() -> None:
    """Sixteen prompts with one image each, of which 12 are right; against scipy."""
    prompts = [str(i) for i in range(16)]
    images = np.eye(16)
    images[12:] = np.roll(images[12:], 1, axis=0)
    score = r_precision(images, np.eye(16), prompts, prompts)
    assert score.value == 12 / 16 and score.n == 16
    oracle = binomtest(12, 16).proportion_ci(method="wilson")
    assert score.ci95 is not None and score.note is None
    assert score.ci95[0] <= oracle.low and score.ci95[1] >= oracle.high
    assert score.ci95 == pytest.approx(tuple(oracle), abs=0.03)


def test_one_caption_is_no_choice() -> None:
    inputs = MetricInputs((), ("a", "a"), (0, 1), _not_loaded, _not_loaded, prompt_set=("a", "a"))
    score = compute(inputs)
    assert (score.value, score.n) == (None, 2)
    assert score.note == "unscored: the prompt set has fewer than 2 prompts"


def _not_loaded() -> None:
    raise AssertionError("nothing is loaded for a metric that is not scored")
