"""Image embeddings for the T2 metric, from the extractor that ships."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from turbo_lab.golden.distances import Embed

if TYPE_CHECKING:
    from turbo_lab.metrics.extractor import ClipExtractor


def image_embedding() -> Embed:
    """Return a function that embeds images; it loads the default extractor on its first call."""

    @lru_cache(maxsize=1)
    def extractor() -> ClipExtractor:
        from turbo_lab.metrics.extractor import ClipExtractor
        from turbo_lab.metrics.extractor_source import extractor_source

        return ClipExtractor(extractor_source("nano-clip", None))

    return lambda pixels: extractor().image_features(pixels)
