"""Inputs of a metric: what is computed once, and which images are refused."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from turbo_lab.errors import InputError
from turbo_lab.metrics.inputs import MetricInputs, check_images, stack_images, unit_rows

IMAGES = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)


class Counting:
    """An extractor whose features are mean levels; counts its calls."""

    name, digest = "counting", "d"

    def __init__(self) -> None:
        self.calls = 0

    def image_features(self, images: np.ndarray) -> np.ndarray:
        self.calls += 1
        return images.mean(axis=(1, 2)).astype(np.float32)

    def text_features(self, prompts: Sequence[str]) -> np.ndarray:
        return np.array([[len(prompt)] for prompt in prompts], np.float32)


def test_features_are_computed_at_the_first_use_and_once() -> None:
    extractor, loads = Counting(), []

    def load() -> Counting:
        loads.append(1)
        return extractor

    inputs = MetricInputs(list(IMAGES), ("a", "b"), (0, 1), load, lambda: "reference")
    assert not loads
    for _ in range(2):
        np.testing.assert_array_equal(inputs.image_features, IMAGES.mean(axis=(1, 2)))
        assert inputs.reference == "reference"
    assert inputs.text_features(["abc"]).tolist() == [[3.0]]
    assert (len(loads), extractor.calls) == (1, 1)
    np.testing.assert_array_equal(inputs.pixels, IMAGES)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (IMAGES.astype(np.float32), "dtype float32: must be uint8"),
        (IMAGES[0], r"shape \(4, 5, 3\): must be \(N, height, width, 3\), N >= 1"),
        (IMAGES[..., :1], r"shape \(2, 4, 5, 1\)"),
        (IMAGES[:0], r"shape \(0, 4, 5, 3\)"),
        (IMAGES[:, :0], r"shape \(2, 0, 5, 3\)"),
    ],
)
def test_an_array_that_is_not_of_images_is_refused(images: np.ndarray, message: str) -> None:
    check_images(IMAGES)
    with pytest.raises(InputError, match=message):
        check_images(images)


@pytest.mark.parametrize(
    ("images", "counts", "message"),
    [
        ([], (0, 0), "images: there are none"),
        (IMAGES, (1, 2), "2 images, 1 prompts, 2 seeds: differ"),
        (IMAGES, (2, 3), "2 images, 2 prompts, 3 seeds: differ"),
        ([IMAGES[0], IMAGES[1][:3]], (2, 2), r"shapes differ \(3x5x3, 4x5x3\)"),
        (
            [IMAGES[0], np.where(IMAGES[1] > 70, np.nan, 0)],
            (2, 2),
            "dtype float64, uint8, 1 with values that are not finite",
        ),
    ],
)
def test_stacks_that_cannot_be_measured_are_refused(
    images: Sequence[np.ndarray], counts: tuple[int, int], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        stack_images(images, *counts)
    np.testing.assert_array_equal(stack_images(list(IMAGES), 2, 2), IMAGES)


@given(
    arrays.arrays(
        np.float32,
        st.tuples(st.integers(1, 5), st.integers(1, 4)),
        elements=st.floats(-1e6, 1e6, width=32).filter(lambda x: x == 0 or abs(x) > 1e-6),
    )
)
def test_rows_have_unit_length_and_keep_their_direction(features: np.ndarray) -> None:
    if not features.any(axis=1).all():
        with pytest.raises(ValueError, match="a row is zero or not finite"):
            unit_rows(features)
        return
    unit = unit_rows(features)
    np.testing.assert_allclose((unit**2).sum(axis=1), 1)
    norms = np.sqrt((features.astype(np.float64) ** 2).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(unit * norms, features, rtol=1e-9)


@pytest.mark.parametrize("bad", [np.full((1, 2), np.nan), np.array([[np.inf, 1.0]]), np.ones(3)])
def test_a_row_without_a_direction_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="features:"):
        unit_rows(bad)
