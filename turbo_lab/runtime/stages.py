"""The stages of drawing as the sampler calls them: text, UNet, VAE, and what feeds them.

Owns what each stage is in the stock pipeline. :mod:`turbo_lab.runtime.exact` has the
same stages without the stock pipeline's detours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from diffusers import StableDiffusionXLPipeline

from turbo_lab.request.recipe import Recipe
from turbo_lab.runtime import noise
from turbo_lab.runtime.seams import Encoded

Size = tuple[int, int]
Around = Callable[[Callable[[torch.Tensor], torch.Tensor], torch.Tensor], torch.Tensor]
"""A seam around the VAE's call: the call, and the scaled latents."""


@dataclass(frozen=True)
class Conditioning:
    """Everything that the UNet is given next to latents and timestep."""

    prompt_embeds: torch.Tensor
    """(N, tokens, width); N is doubled where guided, here and below."""
    pooled_prompt_embeds: torch.Tensor
    """(N, projection)."""
    time_ids: torch.Tensor
    """(N, 6)."""
    timestep_cond: torch.Tensor | None
    """(N, width): guidance as an embedding; ``None`` for a UNet that takes none."""


@dataclass(frozen=True)
class BatchNoise:
    """The noise of one batch."""

    initial: torch.Tensor
    """(N, C, h, w) standard normal noise."""
    during_step: AbstractContextManager[object]
    """Context of a scheduler's step, in which its draws are answered; may be entered again."""


class Stages(Protocol):
    """A way to run the stages of one resident pipeline."""

    def encode_prompt(self, **options: Any) -> Encoded:
        """Encode texts, with the arguments of the stock pipeline's ``encode_prompt``."""

    def scheduler(self, recipe: Recipe, make: Callable[[str], Any]) -> Any:
        """Return a new scheduler with its timesteps set; ``make`` makes one from its JSON."""

    def noise(
        self,
        recipe: Recipe,
        generators: Sequence[torch.Generator],
        shape: tuple[int, int, int],
        dtype: torch.dtype,
    ) -> BatchNoise:
        """Draw the initial noise of a batch, from generators of one image each."""

    def encode(self, image: torch.Tensor, dtype: torch.dtype) -> Any:
        """Encode a source image, (1, 3, H, W) in [-1, 1]; return what the VAE's encoder returns.

        ``dtype``: type of the latents.
        """

    def time_ids(self, size: Size, dtype: torch.dtype) -> torch.Tensor:
        """Return original size, crop corner and target size: (1, 6). ``size``: height, width."""

    def unet(
        self, model_input: torch.Tensor, timestep: torch.Tensor, given: Conditioning
    ) -> torch.Tensor:
        """Predict the noise: (N, C, h, w)."""

    def decode(self, latents: torch.Tensor, around: Around) -> torch.Tensor:
        """Decode (N, C, h, w) latents to (N, 3, H, W) in [-1, 1]."""


@dataclass
class StockStages:
    """The stages as ``StableDiffusionXLPipeline.__call__`` (diffusers 0.42.1) runs them."""

    pipeline: StableDiffusionXLPipeline
    """Pipeline with the adapters already on it."""
    device: torch.device
    """Device of the weights."""

    def encode_prompt(self, **options: Any) -> Encoded:
        """Encode texts by the pipeline's own method."""
        encoded: Encoded = self.pipeline.encode_prompt(**options)
        return encoded

    def scheduler(self, recipe: Recipe, make: Callable[[str], Any]) -> Any:
        """Make a scheduler and set its timesteps."""
        scheduler = make(recipe.scheduler)
        scheduler.set_timesteps(recipe.num_inference_steps, device=self.device)
        return scheduler

    def noise(
        self,
        recipe: Recipe,
        generators: Sequence[torch.Generator],
        shape: tuple[int, int, int],
        dtype: torch.dtype,
    ) -> BatchNoise:
        """Draw the initial noise; the scheduler draws its own from the generators."""
        initial = noise.initial_noise(generators, shape, dtype, self.device)
        return BatchNoise(initial, nullcontext())

    def encode(self, image: torch.Tensor, dtype: torch.dtype) -> Any:
        """Encode in float32 with a VAE that needs it; its weights are cast for the call."""
        vae = self.pipeline.vae
        image = image.to(self.device, dtype)
        if not vae.config.force_upcast:
            return vae.encode(image)
        vae.to(dtype=torch.float32)
        try:
            return vae.encode(image.float())
        finally:
            vae.to(dtype=dtype)

    def time_ids(self, size: Size, dtype: torch.dtype) -> torch.Tensor:
        """Return the time ids by the pipeline's own helper."""
        projection = self.pipeline.text_encoder_2.config.projection_dim
        time_ids: torch.Tensor = self.pipeline._get_add_time_ids(
            size, (0, 0), size, dtype=dtype, text_encoder_projection_dim=projection
        )
        return time_ids.to(self.device)

    def unet(
        self, model_input: torch.Tensor, timestep: torch.Tensor, given: Conditioning
    ) -> torch.Tensor:
        """Call the UNet."""
        noise_pred: torch.Tensor = self.pipeline.unet(
            model_input,
            timestep,
            encoder_hidden_states=given.prompt_embeds,
            timestep_cond=given.timestep_cond,
            added_cond_kwargs={
                "text_embeds": given.pooled_prompt_embeds,
                "time_ids": given.time_ids,
            },
            return_dict=False,
        )[0]
        return noise_pred

    def decode(self, latents: torch.Tensor, around: Around) -> torch.Tensor:
        """Decode in the type that the VAE needs; its weights are cast for the call."""
        vae = self.pipeline.vae
        with self._upcast():
            scaled = latents.to(decoding_dtype(vae, latents)) / vae.config.scaling_factor
            return around(self.vae_decode, scaled)

    def vae_decode(self, scaled: torch.Tensor) -> torch.Tensor:
        """Call the VAE's decoder on scaled latents."""
        decoded: torch.Tensor = self.pipeline.vae.decode(scaled, return_dict=False)[0]
        return decoded

    @contextmanager
    def _upcast(self) -> Iterator[None]:
        vae = self.pipeline.vae
        if not needs_upcast(vae):
            yield
            return
        vae.to(dtype=torch.float32)
        try:
            yield
        finally:
            vae.to(dtype=torch.float16)


def needs_upcast(vae: Any) -> bool:
    """Return whether the stock call decodes in float32 with this VAE of float16."""
    return bool(vae.dtype == torch.float16 and vae.config.force_upcast)


def decoding_dtype(vae: Any, latents: torch.Tensor) -> torch.dtype:
    """Return the type that latents are decoded in: an upcast VAE's own, else their own."""
    return torch.float32 if vae.dtype == torch.float32 else latents.dtype
