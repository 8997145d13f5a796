"""Image features for the goldens' T2 metrics, by the extractor that ships."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from turbo_lab.golden.judgement import Embed


def image_embedding() -> Embed:
    """Return the default extractor's image features; it is loaded on the first call."""

    @lru_cache(maxsize=1)
    def extractor() -> Any:
        from turbo_lab.metrics.extractor import ClipExtractor
        from turbo_lab.metrics.extractor_source import extractor_source

        return ClipExtractor(extractor_source("nano-clip", None))

    return lambda pixels: extractor().image_features(pixels)
