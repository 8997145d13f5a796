"""The embedding of T2's metric."""

from __future__ import annotations

import numpy as np

from turbo_lab.golden.embedding import image_embedding


def test_images_become_features_that_repeat() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    embed = image_embedding()
    features = embed(images)
    assert features.shape[0] == 3 and features.ndim == 2
    np.testing.assert_array_equal(embed(images), features)
    assert not np.array_equal(features[0], features[1])
