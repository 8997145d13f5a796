"""The image lane: batches that share weights, rows and size, with shared work.

Our own short loop over diffusers' text encoders, UNet, scheduler and VAE. It
keeps the order of operations of ``StableDiffusionXLPipeline.__call__``
(diffusers 0.42.1) so that every image has the bits that the stock call gives
at the same batch layout; a test compares the two. What it saves: encoding the
same prompts again, the first UNet evaluation of runs that start alike, for any
their guidance and number of steps, and the decoding of equal latents.
"""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Hashable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from diffusers import StableDiffusionXLPipeline

from turbo_lab.planning.work import WorkDone, end_key, start_key
from turbo_lab.request.recipe import Batch
from turbo_lab.runtime.finite import all_finite, refuse_non_finite
from turbo_lab.runtime.image_to_image import SourceLatents, SourceReader, no_sources
from turbo_lab.runtime.seams import SWEEP_SEAMS, Seams, pass_on
from turbo_lab.runtime.stages import Conditioning, Stages, StockStages

if TYPE_CHECKING:
    from turbo_lab.runtime.seams import Observer

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
class CachedUnetCall:
    """A UNet call that later runs of the group may reuse."""

    latent_model_input: torch.Tensor
    """(N or 2N, C, h, w), scaled."""
    timestep: torch.Tensor
    """A scalar."""
    noise_pred: torch.Tensor
    """(N or 2N, C, h, w)."""


@dataclass(frozen=True)
class Decoding:
    """A VAE call that later runs of the group may reuse."""

    latents: torch.Tensor
    """(N, C, h, w)."""
    decoded: torch.Tensor
    """(N, 3, H, W) in [-1, 1]."""


@dataclass
class SharedWork:
    """Work that the batches of a group share so far; empty for each new group."""

    starts: dict[Hashable, CachedUnetCall] = field(default_factory=dict)
    """First UNet call by :func:`turbo_lab.planning.work.start_key`."""
    end: tuple[Hashable, Decoding] | None = None
    """The last decoding, by :func:`turbo_lab.planning.work.end_key`; more would be too large."""


@dataclass
class Run:
    """One batch on its way from noise to latents."""

    batch: Batch
    """Batch that is drawn."""
    guided: bool
    """``True`` if each evaluation has an unconditional half, which comes first."""
    scheduler: Any
    """Scheduler of this run only: it holds the run's state."""
    timesteps: torch.Tensor
    """Timesteps of the run: all of the scheduler's, or the last ones on a source image."""
    step_options: dict[str, Any]
    """Arguments of ``scheduler.step`` other than the tensors."""
    latents: torch.Tensor
    """(N, C, h, w), after the steps done so far."""
    prompt_embeds: torch.Tensor
    """(N or 2N, tokens, width)."""
    pooled_prompt_embeds: torch.Tensor
    """(N or 2N, projection)."""
    time_ids: torch.Tensor
    """(N or 2N, 6)."""
    timestep_cond: torch.Tensor | None
    """(N, width): guidance as an embedding; ``None`` for a UNet that takes none."""
    during_step: AbstractContextManager[object]
    """Context of the scheduler's steps, in which their noise is at hand."""

    def model_input(self, timestep: torch.Tensor) -> torch.Tensor:
        """Return the latents, doubled if guided, and scaled: (N or 2N, C, h, w)."""
        doubled = torch.cat([self.latents] * 2) if self.guided else self.latents
        scaled: torch.Tensor = self.scheduler.scale_model_input(doubled, timestep)
        return scaled

    def step(self, noise_pred: torch.Tensor, timestep: torch.Tensor) -> None:
        """Guide a prediction, (N or 2N, C, h, w), and take one step from it."""
        if self.guided:
            uncond, text = noise_pred.chunk(2)
            noise_pred = uncond + self.batch.recipe.guidance_scale * (text - uncond)
        with self.during_step:
            self.latents = self.scheduler.step(
                noise_pred, timestep, self.latents, return_dict=False, **self.step_options
            )[0]


@dataclass
class Sampler:
    """Draws groups of batches on one resident pipeline."""

    pipeline: StableDiffusionXLPipeline
    """Pipeline with the adapters of the group already on it."""
    device: torch.device
    """Device of the weights."""
    work: WorkDone
    """Counts of the evaluated rows."""
    seams: Seams = SWEEP_SEAMS
    """Steps that a trial may have replaced."""
    stages: Stages | None = None
    """Way to run the stages; ``None``: that of the stock call."""
    sources: SourceReader = no_sources
    """Reads the pixels of source images."""
    _encodings: OrderedDict[tuple[Any, ...], Encoding] = field(default_factory=OrderedDict)

    def __post_init__(self) -> None:
        self._stages: Stages = self.stages or StockStages(self.pipeline, self.device)
        self._source_latents = SourceLatents(self.pipeline, self.sources, self.work, self.seams)

    @torch.inference_mode()
    def run(
        self,
        batch: Batch,
        negative_prompt: str | None,
        shared: SharedWork,
        observe: Observer = pass_on,
    ) -> np.ndarray:
        """Return the batch's images, (N, H, W, 3) uint8 RGB in [0, 255].

        ``shared`` is one object for all batches of a group. Work is reused only if
        its inputs are equal to the bit. ``observe`` is called with each stage's name
        (see ``golden/stages.py``) and tensor, and its tensor is used from there on.
        Raises :class:`NonFiniteError` for NaN or infinity.
        """
        encoding = self._encode(batch.layout.prompts, negative_prompt)
        return self._draw(batch, encoding, shared, observe)

    @torch.inference_mode()
    def run_alone(
        self, batch: Batch, negative_prompt: str | None, observe: Observer = pass_on
    ) -> np.ndarray:
        """Return the batch's images and share nothing with other batches, texts included."""
        encoding = self._encode_new(
            batch.layout.prompts, negative_prompt, both=batch.recipe.is_guided
        )
        return self._draw(batch, encoding, None, observe)

    def _draw(
        self, batch: Batch, encoding: Encoding, shared: SharedWork | None, observe: Observer
    ) -> np.ndarray:
        stages: dict[str, torch.Tensor] = {}

        def watch(stage: str, tensor: torch.Tensor) -> torch.Tensor:
            stages[stage] = observe(stage, tensor)
            return stages[stage]

        run = self._begin(batch, encoding, watch, is_shared=shared is not None)
        for index, timestep in enumerate(run.timesteps):
            model_input = run.model_input(timestep)
            if index == 0 and shared is not None:
                noise_pred = self._first_evaluation(run, model_input, timestep, shared)
            else:
                noise_pred = self.evaluate(run, model_input, timestep)
            run.step(watch(f"unet.{index}", noise_pred), timestep)
            run.latents = watch(f"latents.{index}", run.latents)
        decoded = self.decode(run.latents) if shared is None else self._decode_shared(run, shared)
        images, is_finite = self.to_images(watch("vae", decoded))
        if not is_finite:
            refuse_non_finite(stages, self.pipeline, batch.recipe)
        return images

    def to_images(self, decoded: torch.Tensor) -> tuple[np.ndarray, bool]:
        """Convert decoded images; see :func:`to_uint8`."""
        return to_uint8(decoded)

    def _encode(self, prompts: tuple[str, ...], negative: str | None) -> Encoding:
        key = (prompts, negative)
        if key in self._encodings:
            self._encodings.move_to_end(key)
            return self._encodings[key]
        # Asking for both halves costs nothing where the negative one is zeros,
        # and the positive half has the same bits either way.
        encoding = self._encode_new(prompts, negative, both=True)
        self._encodings[key] = encoding
        while len(self._encodings) > _KEPT_ENCODINGS:
            self._encodings.popitem(last=False)
        return encoding

    def _encode_new(self, prompts: tuple[str, ...], negative: str | None, both: bool) -> Encoding:
        positive, negative_half, pooled, negative_pooled = self.seams.encode_prompt(
            self._stages.encode_prompt,
            prompt=list(prompts),
            device=self.device,
            num_images_per_prompt=1,
            do_classifier_free_guidance=both,
            negative_prompt=negative,
        )
        zeros = negative is None and self.pipeline.config.force_zeros_for_empty_prompt
        self.work.text_rows += len(prompts) * (1 if zeros or not both else 2)
        return Encoding(positive, pooled, negative_half, negative_pooled)

    def begin(self, batch: Batch, negative: str | None, observe: Observer | None) -> Run:
        """Prepare text, noise and scheduler of a batch, in the order of the stock call.

        ``observe``: ``None`` where several batches begin at once, whose stages
        would be taken for each other's.
        """
        encoding = self._encode(batch.layout.prompts, negative)
        return self._begin(batch, encoding, observe or pass_on, is_shared=True)

    def _begin(self, batch: Batch, encoding: Encoding, observe: Observer, is_shared: bool) -> Run:
        recipe, rows = batch.recipe, len(batch.layout.seeds)
        guided = recipe.is_guided
        embeds, pooled = encoding.prompt_embeds, encoding.pooled_prompt_embeds
        scheduler = self._stages.scheduler(recipe, self.seams.make_scheduler)
        generators = self.seams.make_generators(batch.layout.seeds)
        factor = self.pipeline.vae_scale_factor
        channels = self.pipeline.unet.config.in_channels
        shape = (channels, recipe.height // factor, recipe.width // factor)
        sources = (
            self._source_latents.draw(  # the first draw of each generator
                batch, generators, self._stages, dtype=embeds.dtype, is_shared=is_shared
            )
            if batch.layout.sources
            else None
        )
        drawn = self._stages.noise(recipe, generators, shape, embeds.dtype)
        noise = observe("noise", drawn.initial)
        first = (recipe.num_inference_steps - recipe.steps_run) * scheduler.order
        timesteps = scheduler.timesteps[first:]
        if hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(first)
        if sources is None:
            latents = noise * scheduler.init_noise_sigma
        else:
            sources = observe("encode", sources)
            latents = scheduler.add_noise(sources, noise, timesteps[:1].repeat(rows))
        time_ids = self._stages.time_ids((recipe.height, recipe.width), embeds.dtype)
        if guided:
            embeds = torch.cat([encoding.negative_prompt_embeds, embeds])
            pooled = torch.cat([encoding.negative_pooled_prompt_embeds, pooled])
            time_ids = torch.cat([time_ids, time_ids])
        step_options = _step_options(scheduler, generators)
        return Run(
            batch=batch,
            guided=guided,
            scheduler=scheduler,
            timesteps=timesteps,
            step_options=step_options,
            latents=latents,
            prompt_embeds=observe("prompt_embeds", embeds),
            pooled_prompt_embeds=observe("pooled_prompt_embeds", pooled),
            time_ids=time_ids.repeat(rows, 1),
            timestep_cond=self._guidance_embedding(recipe.guidance_scale, rows, latents),
            during_step=drawn.during_step,
        )

    def evaluate(self, run: Run, model_input: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        """Call the UNet once: (N or 2N, C, h, w); ``timestep``: a scalar, or one per row."""
        self.work.unet_rows += len(model_input)
        self.work.unet_calls += 1
        given = Conditioning(
            run.prompt_embeds, run.pooled_prompt_embeds, run.time_ids, run.timestep_cond
        )
        return self._stages.unet(model_input, timestep, given)

    def _first_evaluation(
        self, run: Run, model_input: torch.Tensor, timestep: torch.Tensor, shared: SharedWork
    ) -> torch.Tensor:
        key = start_key(run.batch.recipe)
        start = None if key is None else shared.starts.get(key)
        if start is not None and _same_inputs(start, model_input, timestep):
            return start.noise_pred
        noise_pred = self.evaluate(run, model_input, timestep)
        if key is not None:
            shared.starts[key] = CachedUnetCall(model_input, timestep, noise_pred)
        return noise_pred

    def _decode_shared(self, run: Run, shared: SharedWork) -> torch.Tensor:
        key = end_key(run.batch.recipe)
        if key is None:
            return self.decode(run.latents)
        if shared.end is not None and shared.end[0] == key:
            end = shared.end[1]
            if torch.equal(end.latents, run.latents):
                return end.decoded
        decoded = self.decode(run.latents)
        shared.end = (key, Decoding(run.latents, decoded))
        return decoded

    def _guidance_embedding(
        self, guidance_scale: float, rows: int, latents: torch.Tensor
    ) -> torch.Tensor | None:
        dim = self.pipeline.unet.config.time_cond_proj_dim
        if dim is None:
            return None
        scale = torch.tensor(guidance_scale - 1).repeat(rows)
        embedding: torch.Tensor = self.pipeline.get_guidance_scale_embedding(
            scale, embedding_dim=dim
        )
        return embedding.to(device=self.device, dtype=latents.dtype)

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Decode (N, C, h, w) latents to (N, 3, H, W) in [-1, 1]."""
        decoded = self._stages.decode(latents, self.seams.decode)
        self.work.vae_rows += len(latents)
        return decoded


def to_uint8(decoded: torch.Tensor) -> tuple[np.ndarray, bool]:
    """Convert (N, 3, H, W) in [-1, 1] to (N, H, W, 3) uint8 RGB, on the device, in one copy.

    The same numbers as diffusers' PIL post-processing; and whether all values were finite.
    """
    is_finite = all_finite(decoded)
    scaled = (decoded / 2 + 0.5).clamp(0, 1).float().mul(255).round()
    pixels = scaled.to(torch.uint8).permute(0, 2, 3, 1).contiguous()
    if pixels.is_cuda:  # into pinned memory, which a copy reaches several times as fast
        host = torch.empty(pixels.shape, dtype=torch.uint8, pin_memory=True)
        host.copy_(pixels, non_blocking=True)
        torch.cuda.current_stream(pixels.device).synchronize()
        pixels = host
    return pixels.numpy(), bool(is_finite)


def _same_inputs(start: CachedUnetCall, model_input: torch.Tensor, timestep: torch.Tensor) -> bool:
    return bool(start.timestep == timestep) and torch.equal(start.latent_model_input, model_input)


def _step_options(scheduler: Any, generators: list[torch.Generator]) -> dict[str, Any]:
    """Return what the stock call passes to ``scheduler.step`` in addition to the tensors."""
    accepted = inspect.signature(scheduler.step).parameters
    options: dict[str, Any] = {}
    if "eta" in accepted:
        options["eta"] = 0.0
    if "generator" in accepted:
        options["generator"] = generators
    return options
