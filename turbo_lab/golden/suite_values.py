"""Values that a test suite hands over, as goldens keep them: images, tensors, names of tests."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from turbo_lab.golden.stages import StageValue
from turbo_lab.identity import digest

# Bytes of a file's name; a test's id may be a whole prompt.
_MAX_FOLDER, _SHORTENED = 255, 200


def value_of_stage(stage: str, tensor: Any) -> StageValue:
    """Return an array or a tensor as the value of a stage; narrow floats become float32."""
    if isinstance(tensor, np.ndarray):
        is_narrow = tensor.dtype.kind == "f" and tensor.dtype.itemsize <= 4
        kept = tensor.astype(np.float32) if is_narrow else tensor.copy()
        return StageValue(stage, str(tensor.dtype), kept)
    from turbo_lab.golden.run_case import stage_value  # imports the pipeline

    return stage_value(stage, tensor)


def rgb_pixels(images: Any) -> Any:
    """Return images as (N, H, W, 3) uint8. Raises ``ValueError`` if they are not of that kind."""
    if isinstance(images, list):
        array = np.stack([_to_three_channels(np.asarray(image)) for image in images])
    else:
        array = _to_three_channels(np.asarray(images))
    array = array[None] if array.ndim == 3 else array
    if array.dtype != np.uint8 or array.ndim != 4 or array.shape[-1] != 3:
        remedy = "; put it on a background: image.convert('RGB')" if array.shape[-1] == 4 else ""
        raise ValueError(
            f"golden_image: {array.dtype} {array.shape} is not (N, H, W, 3) uint8 RGB{remedy}"
        )
    return array


def _to_three_channels(image: np.ndarray) -> np.ndarray:
    """Return a grey image, (H, W) or (..., 1), as RGB, and any other image unchanged."""
    grey = image[..., None] if image.ndim == 2 else image
    return np.repeat(grey, 3, axis=-1) if grey.shape[-1] == 1 else image


def is_on_cuda(tensor: Any) -> bool:
    """Return whether a value is a tensor on a GPU."""
    return bool(getattr(tensor, "is_cuda", False))


def is_plain(value: Any) -> bool:
    """Return whether JSON can hold a value; generators and tensors are not part of a recipe."""
    if isinstance(value, (list, tuple)):
        return all(is_plain(item) for item in value)
    return value is None or isinstance(value, (str, int, float, bool))


def folder_of(nodeid: str) -> str:
    """Return a test's folder in its module: ``test_a``, ``TestB.test_a``, or ``test_a-1``."""
    test = ".".join(nodeid.split("::")[1:])
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", test).strip("-")
    # Two names that differ in replaced characters only are distinguished by a digest.
    is_unique = re.fullmatch(r"[A-Za-z0-9_.]+(\[[A-Za-z0-9_.]+\])?", test)
    name = plain if is_unique else f"{plain}-{digest(test)[:8]}"
    return name if len(name) <= _MAX_FOLDER else f"{plain[:_SHORTENED]}-{digest(test)[:8]}"
