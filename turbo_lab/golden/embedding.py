"""What goldens know of a picture's content: the judge that ships."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from turbo_lab.golden.judgement import Embed


def judge_embed() -> Embed:
    """The default judge's image features, loaded when they are first asked for."""

    @lru_cache(maxsize=1)
    def extractor() -> Any:
        from turbo_lab.metrics.extractor import ClipExtractor
        from turbo_lab.metrics.extractor_source import extractor_source

        return ClipExtractor(extractor_source("nano-clip", None))

    return lambda pixels: extractor().image_features(pixels)
