"""The image lane: batches that share weights, rows and size, with shared work.

Our own short loop over diffusers' text encoders, UNet, scheduler and VAE. It
keeps the order of operations of ``StableDiffusionXLPipeline.__call__``
(diffusers 0.42.1) so that every image has the bits that the stock call gives
at the same batch layout; a test compares the two. What it saves: encoding the
same prompts again, and the first UNet evaluation of runs that start alike,
whatever their guidance and number of steps.
"""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from diffusers import StableDiffusionXLPipeline

from turbo_lab.plan import WorkDone, is_guided
from turbo_lab.runtime import noise
from turbo_lab.runtime.pipeline import make_scheduler
from turbo_lab.spec import Batch

# Encodings kept for later groups: enough for a prompt set of 1,024 at batch 16.
_KEPT_ENCODINGS = 64


@dataclass(frozen=True)
class Encoding:
    """Text conditioning of one batch; the negative half only where guided."""

    prompt_embeds: torch.Tensor
    """(N, tokens, width)."""
    pooled_prompt_embeds: torch.Tensor
    """(N, projection)."""
    negative_prompt_embeds: torch.Tensor
    """Like ``prompt_embeds``."""
    negative_pooled_prompt_embeds: torch.Tensor
    """Like ``pooled_prompt_embeds``."""


@dataclass(frozen=True)
class FirstEvaluation:
    """A UNet call that later runs of the group may take over."""

    latent_model_input: torch.Tensor
    """(N or 2N, C, h, w), scaled."""
    timestep: torch.Tensor
    """A scalar."""
    noise_pred: torch.Tensor
    """(N or 2N, C, h, w)."""


# By whether it is guided, and its negative prompt.
Starts = dict[tuple[bool, str | None], FirstEvaluation]


@dataclass
class Sampler:
    """Runs groups of batches on one resident pipeline."""

    pipeline: StableDiffusionXLPipeline
    """With the adapters of the group already on it."""
    device: torch.device
    """Where the weights are."""
    work: WorkDone
    """Where evaluated rows are counted."""
    observe: Callable[[str, torch.Tensor], torch.Tensor] = lambda stage, tensor: tensor
    """Is shown each stage's tensor by the name of the stage (see ``golden/stages.py``); what it
    returns takes the tensor's place."""
    _encodings: OrderedDict[tuple[Any, ...], Encoding] = field(default_factory=OrderedDict)

    @torch.inference_mode()
    def run(self, batch: Batch, negative_prompt: str | None, starts: Starts) -> np.ndarray:
        """The batch's images, (N, H, W, 3) uint8 RGB in [0, 255].

        ``starts`` is one dictionary for all batches of a group, empty at first.
        A start is only taken over where its scaled input and timestep are equal
        to the bit.
        """
        return self._decode(self._denoise(batch, negative_prompt, starts))

    def forget_encodings(self) -> None:
        """Adapters changed: text encoders may differ."""
        self._encodings.clear()

    def _encode(self, prompts: tuple[str, ...], negative: str | None) -> Encoding:
        key = (prompts, negative)
        if key in self._encodings:
            self._encodings.move_to_end(key)
            return self._encodings[key]
        # Asking for both halves costs nothing where the negative one is zeros,
        # and the positive half has the same bits either way.
        positive, negative_half, pooled, negative_pooled = self.pipeline.encode_prompt(
            prompt=list(prompts),
            device=self.device,
            num_images_per_prompt=1,
            do_classifier_free_guidance=True,
            negative_prompt=negative,
        )
        zeros = negative is None and self.pipeline.config.force_zeros_for_empty_prompt
        self.work.text_rows += len(prompts) * (1 if zeros else 2)
        encoding = Encoding(positive, pooled, negative_half, negative_pooled)
        self._encodings[key] = encoding
        while len(self._encodings) > _KEPT_ENCODINGS:
            self._encodings.popitem(last=False)
        return encoding

    def _time_ids(self, batch: Batch, dtype: torch.dtype) -> torch.Tensor:
        """(1, 6): original size, crop corner and target size, as the stock call defaults."""
        size = (batch.recipe.height, batch.recipe.width)
        projection = self.pipeline.text_encoder_2.config.projection_dim
        return self.pipeline._get_add_time_ids(  # the stock call's own helper
            size, (0, 0), size, dtype=dtype, text_encoder_projection_dim=projection
        ).to(self.device)

    def _denoise(
        self,
        batch: Batch,
        negative: str | None,
        starts: Starts,
    ) -> torch.Tensor:
        recipe, rows = batch.recipe, len(batch.layout.seeds)
        guided = is_guided(recipe)
        encoding = self._encode(batch.layout.prompts, negative)
        embeds, pooled = encoding.prompt_embeds, encoding.pooled_prompt_embeds
        scheduler = make_scheduler(recipe.scheduler)
        scheduler.set_timesteps(recipe.num_inference_steps, device=self.device)
        generators = noise.image_generators(batch.layout.seeds)
        factor = self.pipeline.vae_scale_factor
        channels = self.pipeline.unet.config.in_channels
        shape = (channels, recipe.height // factor, recipe.width // factor)
        latents = noise.initial_noise(generators, shape, embeds.dtype, self.device)
        latents = self.observe("noise", latents)
        latents = latents * scheduler.init_noise_sigma
        time_ids = self._time_ids(batch, embeds.dtype)
        if guided:
            embeds = torch.cat([encoding.negative_prompt_embeds, embeds])
            pooled = torch.cat([encoding.negative_pooled_prompt_embeds, pooled])
            time_ids = torch.cat([time_ids, time_ids])
        embeds = self.observe("prompt_embeds", embeds)
        pooled = self.observe("pooled_prompt_embeds", pooled)
        conditioning = {
            "encoder_hidden_states": embeds,
            "timestep_cond": self._guidance_embedding(recipe.guidance_scale, rows, latents),
            "added_cond_kwargs": {"text_embeds": pooled, "time_ids": time_ids.repeat(rows, 1)},
        }
        step_options = _step_options(scheduler, generators)
        if hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(0)
        key = (guided, negative)
        for index, timestep in enumerate(scheduler.timesteps):
            doubled = torch.cat([latents] * 2) if guided else latents
            model_input = scheduler.scale_model_input(doubled, timestep)
            start = starts.get(key) if index == 0 and not self._embeds_guidance else None
            if start is not None and _same_inputs(start, model_input, timestep):
                noise_pred = start.noise_pred
            else:
                noise_pred = self.pipeline.unet(
                    model_input, timestep, return_dict=False, **conditioning
                )[0]
                self.work.unet_rows += len(model_input)
                if index == 0:
                    starts[key] = FirstEvaluation(model_input, timestep, noise_pred)
            noise_pred = self.observe(f"unet.{index}", noise_pred)
            if guided:
                uncond, text = noise_pred.chunk(2)
                noise_pred = uncond + recipe.guidance_scale * (text - uncond)
            latents = scheduler.step(
                noise_pred, timestep, latents, return_dict=False, **step_options
            )[0]
            latents = self.observe(f"latents.{index}", latents)
        return latents

    @property
    def _embeds_guidance(self) -> bool:
        """A UNet that takes guidance as an embedding: its first evaluation depends on it."""
        return self.pipeline.unet.config.time_cond_proj_dim is not None

    def _guidance_embedding(
        self, guidance_scale: float, rows: int, latents: torch.Tensor
    ) -> torch.Tensor | None:
        dim = self.pipeline.unet.config.time_cond_proj_dim
        if dim is None:
            return None
        scale = torch.tensor(guidance_scale - 1).repeat(rows)
        embedding = self.pipeline.get_guidance_scale_embedding(scale, embedding_dim=dim)
        return embedding.to(device=self.device, dtype=latents.dtype)

    def _decode(self, latents: torch.Tensor) -> np.ndarray:
        vae = self.pipeline.vae
        upcast = vae.dtype == torch.float16 and vae.config.force_upcast
        if upcast:
            self.pipeline.upcast_vae()
            latents = latents.to(next(iter(vae.post_quant_conv.parameters())).dtype)
        decoded = vae.decode(latents / vae.config.scaling_factor, return_dict=False)[0]
        if upcast:
            vae.to(dtype=torch.float16)
        self.work.vae_rows += len(latents)
        return to_uint8(self.observe("vae", decoded))


def to_uint8(decoded: torch.Tensor) -> np.ndarray:
    """(N, 3, H, W) in [-1, 1] to (N, H, W, 3) uint8 RGB, on the device, one copy.

    The same numbers as diffusers' PIL post-processing.
    """
    scaled = (decoded / 2 + 0.5).clamp(0, 1).float().mul(255).round()
    return scaled.to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()


def _same_inputs(start: FirstEvaluation, model_input: torch.Tensor, timestep: torch.Tensor) -> bool:
    return bool(start.timestep == timestep) and torch.equal(start.latent_model_input, model_input)


def _step_options(scheduler: Any, generators: list[torch.Generator]) -> dict[str, Any]:
    """What the stock call passes to ``scheduler.step`` beside the tensors."""
    accepted = inspect.signature(scheduler.step).parameters
    options: dict[str, Any] = {}
    if "eta" in accepted:
        options["eta"] = 0.0
    if "generator" in accepted:
        options["generator"] = generators
    return options
