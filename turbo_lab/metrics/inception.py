"""The extractor of ``fid``: torch-fidelity's Inception network, pool features, 2048 of them.

Owns loading the weights without running code that a pickle may carry, which
torch-fidelity's own loader does. The network and its resize (TensorFlow 1's
bilinear, no antialiasing) are torch-fidelity's, so the features are its own
bit for bit. Refuses prompts (it has no text side) and never downloads.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from turbo_lab.errors import InputError, MissingFilesError
from turbo_lab.identity import DigestCache
from turbo_lab.metrics.extractor_source import ExtractorSource
from turbo_lab.metrics.inputs import check_images

Features = npt.NDArray[np.float32]
_LAYER = "2048"


class InceptionExtractor:
    """torch-fidelity's network in float32."""

    def __init__(
        self,
        source: ExtractorSource,
        cache: DigestCache | None = None,
        device: str = "cpu",
        batch_size: int = 32,
    ) -> None:
        """Load the weights of ``source``; raises :class:`MissingFilesError` or ``InputError``."""
        self.source = source
        self.name = source.name
        self.digest = source.digest(cache or DigestCache())
        self._device, self._batch_size = torch.device(device), batch_size
        self._network = _load(source.weights).to(self._device)

    def image_features(self, images: npt.NDArray[np.uint8]) -> Features:
        """Return (N, 2048) float32 for (N, H, W, 3) uint8 in [0, 255], RGB."""
        check_images(images)
        rows = []
        for start in range(0, len(images), self._batch_size):
            piece = torch.from_numpy(np.ascontiguousarray(images[start : start + self._batch_size]))
            with torch.inference_mode():
                (features,) = self._network(piece.permute(0, 3, 1, 2).to(self._device))
                rows.append(features.float().cpu().numpy())
        found: Features = np.concatenate(rows)
        if not np.isfinite(found).all():
            raise ValueError("image features: some values are not finite")
        return found

    def text_features(self, prompts: Sequence[str]) -> Features:
        """Raise :class:`InputError`: prompts need an open_clip model."""
        raise InputError(
            f"metrics.extractor={self.name}: has no text side; clip_score and r_precision need an "
            "open_clip model"
        )


def _load(weights: Path) -> Any:
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except ModuleNotFoundError as error:
        raise MissingFilesError(
            "fid: the network is torch-fidelity's; pip install 'turbo-lab[fid]'"
        ) from error
    try:
        state = torch.load(weights, map_location="cpu", weights_only=True)
    except Exception as error:  # as many kinds as pickle and zip have
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"fid: {weights} is not a file of weights ({reason})") from error
    # Its constructor unpickles its argument, which has just been read safely.
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return FeatureExtractorInceptionV3("inception", [_LAYER], feature_extractor_weights_path=buffer)
