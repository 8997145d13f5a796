"""Warnings of diffusers and transformers that repeat at every call and ask nothing of the user.

Owns the list, each entry as narrow as its text allows: a warning that names something new still
gets through. What can be avoided by another call of ours is avoided there instead.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Mapping
from functools import partial

from diffusers import (
    AutoencoderTiny,
    ConfigMixin,
    DiffusionPipeline,
    ModelMixin,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLPipeline,
)
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

_TINY = AutoencoderTiny.__name__
# By logger: patterns of texts of which one is enough, or none.
_REPEATED: Mapping[str, tuple[str, ...]] = {
    # An AutoencoderTiny writes this key into its own configuration and does not know it again.
    ConfigMixin.__module__: (
        rf"attributes \{{'block_out_channels': [^:]*\}} were passed to {_TINY},",
    ),
    # SDXL's pipeline takes it; its annotation names the other VAE only.
    DiffusionPipeline.__module__: (rf"Expected types for vae: .*, got <class '[\w.]*\.{_TINY}'>",),
    # The driver says once per prompt what is cut.
    StableDiffusionXLPipeline.__module__: ("was truncated because CLIP",),
    StableDiffusionXLImg2ImgPipeline.__module__: ("was truncated because CLIP",),
    PreTrainedTokenizerBase.__module__: ("Token indices sequence",),
    # The stock call casts a float16 VAE to float32 and back at every decode. With the empty list
    # there is nothing that should have been kept.
    ModelMixin.__module__: (r"that should be kept in float32: \[\]",),
}
# The stock call itself calls what diffusers has deprecated, at every decode.
_UPCAST = r"`upcast_vae` is deprecated"


def quiet_libraries() -> None:
    """Filter the warnings; calling it again changes nothing."""
    for name, patterns in _REPEATED.items():
        logger = logging.getLogger(name)
        if not any(getattr(one, "func", None) is _is_news for one in logger.filters):
            logger.addFilter(partial(_is_news, patterns))
    warnings.filterwarnings("ignore", message=_UPCAST, category=FutureWarning)


def _is_news(patterns: tuple[str, ...], entry: logging.LogRecord) -> bool:
    message = entry.getMessage()
    return not any(re.search(pattern, message) for pattern in patterns)
