"""Safety checker: which images its thresholds flag, as a figure next to the images.

Owns the call of diffusers' ``StableDiffusionSafetyChecker`` on finished images. It never gets
the images to change: what diffusers would replace by black is a placeholder here.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from PIL import Image
from transformers import CLIPImageProcessor

from turbo_lab.analysis.stats import bootstrap_mean_ci
from turbo_lab.errors import InputError
from turbo_lab.identity import DigestCache
from turbo_lab.metrics.clip_score import few_prompts_note
from turbo_lab.metrics.extractor_source import ExtractorSource
from turbo_lab.metrics.inputs import MetricInputs, Score, check_images
from turbo_lab.metrics.safety_source import processor_folder

Features = npt.NDArray[np.float32]


def compute(inputs: MetricInputs) -> Score:
    """Share of images that the safety checker flags; N >= 1, lower is better.

    ``StableDiffusionSafetyChecker.forward`` of diffusers: an image is flagged if its cosine to
    a concept is above that concept's threshold. The interval resamples prompts; it is ``None``
    below 8 prompts. Bias: none in n. Raises what the checker's files raise.
    """
    flags = inputs.image_features[:, 0].astype(np.float64)
    ci95 = bootstrap_mean_ci(flags, inputs.prompts, 0)
    return Score(
        value=float(flags.mean()),
        n=len(flags),
        ci95=ci95,
        note=few_prompts_note(inputs.prompts) if ci95 is None else None,
        per_image=tuple(float(flag) for flag in flags),
    )


class SafetyExtractor:
    """The safety checker in float32; an image's only feature is 1 if it is flagged, else 0."""

    def __init__(
        self,
        source: ExtractorSource,
        cache: DigestCache | None = None,
        device: str = "cpu",
        batch_size: int = 32,
    ) -> None:
        """Load the weights of ``source``. Raises :class:`InputError` if they do not fit."""
        self.name = source.name
        self.digest = source.digest(cache or DigestCache())
        self._device, self._batch_size = torch.device(device), batch_size
        self._processor = CLIPImageProcessor.from_pretrained(
            str(processor_folder(source)), local_files_only=True
        )
        try:
            checker, info = StableDiffusionSafetyChecker.from_pretrained(
                str(source.folder),
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
            )
        except (OSError, RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"safety_checker: {source.folder} cannot be loaded ({reason})") from (
                error
            )
        if missing := sorted(info["missing_keys"]):
            raise InputError(
                f"safety_checker: {source.weights} lacks {missing[0]}; get the file again"
            )
        self._checker = checker.to(self._device).eval()

    def image_features(self, images: npt.NDArray[np.uint8]) -> Features:
        """Return (N, 1) float32, 1 for a flagged image, for (N, H, W, 3) uint8 in [0, 255]."""
        check_images(images)
        flags: list[bool] = []
        for start in range(0, len(images), self._batch_size):
            pictures = [Image.fromarray(one) for one in images[start : start + self._batch_size]]
            pixels = self._processor(pictures, return_tensors="pt").pixel_values
            placeholders = [np.zeros((1, 1, 3)) for _ in pictures]
            with torch.inference_mode(), _no_talk_of_black_images():
                _, found = self._checker(clip_input=pixels.to(self._device), images=placeholders)
            flags += found
        return np.array(flags, dtype=np.float32)[:, None]

    def text_features(self, prompts: object) -> Features:
        """Raise :class:`InputError`: prompts are not judged."""
        raise InputError("safety_checker: has no text side; it judges images only")


@contextmanager
def _no_talk_of_black_images() -> Iterator[None]:
    """Drop the warning that a black image is returned, because none is."""
    logger = logging.getLogger(StableDiffusionSafetyChecker.__module__)

    def is_about_something_else(entry: logging.LogRecord) -> bool:
        return "A black image will be returned" not in entry.getMessage()

    logger.addFilter(is_about_something_else)
    try:
        yield
    finally:
        logger.removeFilter(is_about_something_else)
