"""The pytest plugin: its fixture, and a golden of the first release, recorded next to this file."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

import numpy as np
import pytest


def test_the_plugin_is_an_entry_point() -> None:
    (plugin,) = entry_points(group="pytest11", name="turbo_lab")
    assert hasattr(plugin.load(), "golden_image")


def test_an_old_golden_is_read_and_can_fail(golden_image: Any) -> None:
    rows, columns, channels = np.indices((32, 48, 3))
    picture = (rows * 5 + columns * 3 + channels * 40).astype(np.uint8)
    stages = {"latents.0": np.ones((1, 4, 2), np.float32)}
    golden_image.check(picture, stages=stages)
    with pytest.raises(pytest.fail.Exception, match="regression"):
        golden_image.check(255 - picture, stages=stages)
