"""The extractor: a stock open_clip model that turns images and prompts into features.

Owns preprocessing, written out as tensor operations: libraries rescale twice,
truncate or resize in ways that move features by up to 41%. Refuses float
images (a silent second rescaling) and never downloads. The values are
open_clip's own; only the decoding and batching around it are ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import interpolate

from turbo_lab.errors import InputError
from turbo_lab.identity import DigestCache
from turbo_lab.metrics.extractor_source import (
    INCEPTION,
    SAFETY,
    ExtractorSource,
    Preprocessing,
    extractor_source,
)
from turbo_lab.metrics.inputs import Extractor, check_images

Features = npt.NDArray[np.float32]
Images = npt.NDArray[np.uint8]


class ClipExtractor:
    """An open_clip model in float32, with its prompts' features remembered."""

    def __init__(
        self,
        source: ExtractorSource,
        cache: DigestCache | None = None,
        device: str = "cpu",
        batch_size: int = 32,
    ) -> None:
        """Load the weights of ``source``.

        ``batch_size`` is fixed here, not taken from the caller's batches, so that
        equal images give equal bits however they arrive. Threads are the caller's:
        another number of them moves features in the seventh digit.
        """
        self.source = source
        self.name = source.name
        self.digest = source.digest(cache or DigestCache())
        self._device = torch.device(device)
        self._batch_size = batch_size
        self._model, self._tokenizer = _load(source, self._device)
        self._texts: dict[str, Features] = {}

    def image_features(self, images: Images) -> Features:
        """Compute projected image embeddings, not normalised.

        ``images``: (N, H, W, 3) uint8 in [0, 255], RGB. Returns (N, d) float32.
        Raises :class:`InputError` for another dtype or shape, ``ValueError`` if
        the model returns values that are not finite.
        """
        check_images(images)
        rows = []
        for start in range(0, len(images), self._batch_size):
            piece = torch.from_numpy(np.ascontiguousarray(images[start : start + self._batch_size]))
            with torch.inference_mode():
                pixels = preprocess(piece.to(self._device), self.source.preprocessing)
                rows.append(self._model.encode_image(pixels).float().cpu().numpy())
        return _finite("image features", np.concatenate(rows))

    def text_features(self, prompts: Sequence[str]) -> Features:
        """Compute projected text embeddings, (N, d) float32, not normalised.

        Each distinct prompt is encoded once in the life of this object. Raises
        :class:`InputError` for no prompts.
        """
        if not prompts:
            raise InputError("prompts: at least one is needed")
        new = [prompt for prompt in dict.fromkeys(prompts) if prompt not in self._texts]
        for start in range(0, len(new), self._batch_size):
            texts = new[start : start + self._batch_size]
            with torch.inference_mode():
                tokens = self._tokenizer(texts).to(self._device)
                rows = self._model.encode_text(tokens).float().cpu().numpy()
            self._texts.update(zip(texts, _finite("text features", rows), strict=True))
        return np.stack([self._texts[prompt] for prompt in prompts])


def open_extractor(source: ExtractorSource, cache: DigestCache, device: str = "cpu") -> Extractor:
    """Load the network of ``source``."""
    if source.model == INCEPTION:
        from turbo_lab.metrics.inception import InceptionExtractor

        return InceptionExtractor(source, cache, device)
    if source.model == SAFETY:
        from turbo_lab.metrics.safety import SafetyExtractor

        return SafetyExtractor(source, cache, device)
    return ClipExtractor(source, cache, device)


def load_extractor(
    name: str = "nano-clip", pretrained: str | None = None, device: str = "cpu"
) -> ClipExtractor:
    """Load an extractor by name, folder or file, as ``extractor_source`` finds it."""
    return ClipExtractor(extractor_source(name, pretrained), device=device)


def preprocess(images: torch.Tensor, constants: Preprocessing) -> torch.Tensor:
    """Turn (N, H, W, 3) uint8 into the model's (N, 3, size, size) float32 input.

    Shorter side (``squash``: both) to ``image_size`` with antialiasing, rounded
    back to uint8 as Pillow does (open_clip's own transform), centre crop, scale,
    normalise. An image of the right size is not resized: its pixels stay as they are.
    """
    pixels = images.permute(0, 3, 1, 2).float()
    height, width = pixels.shape[-2:]
    size = constants.image_size
    # torchvision's Resize(int) cuts the longer side's fraction off
    if constants.resize_mode == "squash":
        shape = (size, size)
    elif height <= width:
        shape = (size, int(size * width / height))
    else:
        shape = (int(size * height / width), size)
    if (height, width) != shape:
        for step in ((height, shape[1]), shape):  # Pillow's order: rows first, rounded between
            pixels = interpolate(pixels, step, mode=constants.interpolation, antialias=True)
            pixels = pixels.round().clamp(0, 255)
        height, width = shape
    top, left = round((height - size) / 2), round((width - size) / 2)
    pixels = pixels[..., top : top + size, left : left + size] / 255
    mean = torch.tensor(constants.mean, device=pixels.device).view(3, 1, 1)
    std = torch.tensor(constants.std, device=pixels.device).view(3, 1, 1)
    return (pixels - mean) / std


def _load(source: ExtractorSource, device: torch.device) -> tuple[Any, Any]:
    import open_clip  # takes a second to import; only when an extractor is really loaded

    local = source.model == "local-dir"
    name = f"local-dir:{source.folder}" if local else source.model
    model = open_clip.create_model(
        name,
        pretrained=None if local else str(source.weights),
        precision="fp32",
        device=device,
        require_pretrained=True,
    )
    # Without it, transformers asks on the terminal whether to run code that a folder names.
    options = {"trust_remote_code": False} if local and _has_own_tokenizer(source) else {}
    return model.eval().requires_grad_(False), open_clip.get_tokenizer(name, **options)


def _has_own_tokenizer(source: ExtractorSource) -> bool:
    """Return whether the tokenizer is one of transformers, and not open_clip's own."""
    text = source.config["text_cfg"]
    return isinstance(text, dict) and bool(text.get("hf_tokenizer_name"))


def _finite(what: str, values: Features) -> Features:
    if not np.isfinite(values).all():
        raise ValueError(f"{what}: {int((~np.isfinite(values)).sum())} values are not finite")
    return values
