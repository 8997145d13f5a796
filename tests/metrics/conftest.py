"""The context in which tests of metrics measure."""

from __future__ import annotations

import numpy as np
import pytest

from tests.tiny_clip import PROMPTS
from turbo_lab.metrics.context import MetricContext
from turbo_lab.metrics.extractor import ClipExtractor
from turbo_lab.metrics.extractor_source import ExtractorSource
from turbo_lab.metrics.reference import build_reference, save_reference
from turbo_lab.metrics.reference_source import ReferenceSource


@pytest.fixture(scope="session")
def context(
    tmp_path_factory: pytest.TempPathFactory,
    source: ExtractorSource,
    extractor: ClipExtractor,
    images: np.ndarray,
) -> MetricContext:
    """The tiny CLIP extractor, a reference made with it, and ten captions."""
    path = tmp_path_factory.mktemp("reference") / "set.safetensors"
    features = extractor.image_features(images[::-1] // 2)
    save_reference(path, build_reference(features, "set", extractor.digest, extractor.name, True))
    return MetricContext(source, ReferenceSource("set", path), PROMPTS)
