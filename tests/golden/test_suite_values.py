"""What a test hands over becomes RGB images and the values of stages, or is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from turbo_lab.golden.suite_values import (
    folder_of,
    is_on_cuda,
    is_plain,
    rgb_pixels,
    value_of_stage,
)


def test_grey_and_single_images_become_a_batch_of_rgb() -> None:
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    found = rgb_pixels(grey)
    assert found.shape == (1, 3, 4, 3)
    assert (found == grey[None, ..., None]).all()
    images = [Image.fromarray(grey), Image.fromarray(np.stack([grey] * 3, axis=-1))]
    assert (rgb_pixels(images) == found).all() and len(rgb_pixels(images)) == 2


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((2, 2, 4), np.uint8), r"\(1, 2, 2, 4\) .*put it on a background"),
        (np.zeros((2, 2, 3), np.float32), r"float32 \(1, 2, 2, 3\) is not"),
        (np.zeros(3, np.uint8), "is not"),
    ],
)
def test_other_arrays_are_refused(image: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rgb_pixels(image)


@pytest.mark.parametrize(
    ("value", "dtype", "kept"),
    [
        (np.ones(2, np.float16), "float16", np.float32),
        (np.ones(2, np.float64), "float64", np.float64),
        (np.ones(2, np.int8), "int8", np.int8),
        (torch.ones(2, dtype=torch.bfloat16), "bfloat16", np.float32),
    ],
)
def test_a_value_keeps_its_own_type_by_name(value: object, dtype: str, kept: type) -> None:
    found = value_of_stage("x", value)
    assert (found.stage, found.dtype, found.values.dtype) == ("x", dtype, kept)
    assert (found.values == 1).all()


def test_a_value_is_a_copy() -> None:
    array = np.ones(2)
    found = value_of_stage("x", array)
    array[:] = 0
    assert (found.values == 1).all()


def test_arrays_and_cpu_tensors_are_not_on_a_gpu() -> None:
    assert not is_on_cuda(np.ones(1)) and not is_on_cuda(torch.ones(1))


def test_folders_of_tests_are_names_of_files() -> None:
    assert folder_of("a/test_it.py::test_a") == "test_a"
    assert folder_of("test_it.py::TestB::test_a") == "TestB.test_a"
    first, second = (folder_of(f"test_it.py::test_a[{word}]") for word in ("a b", "a/b"))
    assert first != second and "/" not in second and " " not in first
    assert len(folder_of(f"test_it.py::test_a[{'x' * 400}]")) <= 255


def test_what_json_holds_is_plain() -> None:
    assert is_plain([1, "a", None, (2.5, True)])
    assert not is_plain([object()]) and not is_plain({"a": 1})
