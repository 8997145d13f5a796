"""Values that a test suite hands over, as goldens keep them: images, arrays and tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from turbo_lab.golden.stages import StageValue


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
