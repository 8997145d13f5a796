"""The stock call's stages without its detours: ``loop=exact``.

Owns what a call of the known shape can leave out and keep every bit: walks over all
modules to find their device, casts of the VAE at every call, tokenising twice, work that
decides no bit (:mod:`turbo_lab.runtime.dead_work`), and, on a GPU, launching each kernel by
itself and waiting for uploads. Refuses nothing:
a stage that is given back runs as in the stock call.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from diffusers import StableDiffusionXLPipeline

from turbo_lab.request.recipe import Recipe
from turbo_lab.runtime import seams
from turbo_lab.runtime.dead_work import DeadWork, without_last_layer
from turbo_lab.runtime.graphs import GraphPool, Tensors
from turbo_lab.runtime.noise import Draw, UploadedNoise, upload
from turbo_lab.runtime.seams import Encoded
from turbo_lab.runtime.stages import (
    Around,
    BatchNoise,
    Conditioning,
    Size,
    StockStages,
    decoding_dtype,
    needs_upcast,
)

Part = Literal["text", "encode", "noise", "unet", "vae", "loop"]
"""A part of the exact loop that can run as in the stock call; ``loop``: the whole call."""
# Parts that run the modules in which work is left out.
_MODULES = {"unet", "vae", "loop"}
# Sizes and schedulers of one process; beyond these the oldest is made again.
_KEPT = 64


@dataclass
class ExactStages:
    """The stages of one resident pipeline, with the bits of its stock call."""

    pipeline: StableDiffusionXLPipeline
    """Pipeline with the adapters already on it."""
    device: torch.device
    """Device of the weights."""
    graphs: GraphPool | None = None
    """Graphs of text encoders, UNet and VAE; ``None``: they are called."""
    given_back: dict[Part, str] = field(default_factory=dict)
    """Parts that run as in the stock call, with the stage that differed."""
    proved: set[str] = field(default_factory=set)
    """Lanes in which the loop was compared with the stock call."""
    _time_ids: dict[tuple[Size, torch.dtype], torch.Tensor] = field(default_factory=dict)
    _schedulers: dict[tuple[str, int], Any] = field(default_factory=dict)
    _draws: dict[tuple[Any, ...], list[Draw]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._stock = StockStages(self.pipeline, self.device)
        self._is_upcast = needs_upcast(self.pipeline.vae)
        self._dead_work = DeadWork(self.pipeline.unet, self.pipeline.vae)
        self._shorter_encoder = without_last_layer(self.pipeline.text_encoder)
        self._keep_upcast()

    def _keep_upcast(self) -> None:
        """Cast the VAE once to the type in which the stock call decodes; float16 fits into it."""
        if self._is_upcast:
            self.pipeline.vae.to(dtype=torch.float32)

    @contextmanager
    def as_loaded(self) -> Iterator[None]:
        """Put the pipeline back into its state after loading, for a stock call inside."""
        vae = self.pipeline.vae
        # Graphs read the weights where they are: a cast there and back would move them.
        kept = [(own, own.data) for own in (*vae.parameters(), *vae.buffers())]
        if self._is_upcast:
            vae.to(dtype=torch.float16)
        self._dead_work.restore()
        try:
            yield
        finally:
            for own, data in kept if self._is_upcast else ():
                own.data = data
            if not self.given_back.keys() & _MODULES:
                self._dead_work.leave_out()

    def weights_changed(self) -> None:
        """Drop every graph: adapters were put on or taken off."""
        if self.graphs is not None:
            self.graphs.clear()

    def give_back(self, part: Part, stage: str) -> None:
        """Run a part as in the stock call from here on, because ``stage`` has other bits."""
        self.given_back[part] = stage
        if part in _MODULES:
            self._dead_work.restore()
        if part == "vae":
            self._is_upcast = False
            if self.pipeline.vae.config.force_upcast and self.pipeline.unet.dtype == torch.float16:
                self.pipeline.vae.to(dtype=torch.float16)

    def notes(self) -> tuple[str, ...]:
        """Return what a reader of a result must know: the parts that run as in the stock call."""
        graphs = self.graphs
        differing = {} if graphs is None else graphs.differing
        refused = {} if graphs is None else graphs.refused
        return (
            *(
                f"loop=exact: {stage} has other bits here than in the stock call; the {part} "
                "runs as in the stock call"
                for part, stage in self.given_back.items()
            ),
            *(
                f"graphs=cuda: a replay of the {name} has other bits here; it is called eagerly"
                for name in differing
            ),
            *(
                f"graphs=cuda: the {name} cannot be captured here ({reason}); it is called eagerly"
                for name, reason in refused.items()
            ),
        )

    # The stages, as the sampler calls them.

    def encode_prompt(self, **options: Any) -> Encoded:
        """Encode texts; takes the arguments that the sampler gives, and no others."""
        if "text" in self.given_back:
            return self._stock.encode_prompt(**options)
        prompt, negative = options["prompt"], options["negative_prompt"]
        embeds, pooled = self._encode(prompt)
        if not options["do_classifier_free_guidance"]:
            return embeds, None, pooled, None
        if negative is None and self.pipeline.config.force_zeros_for_empty_prompt:
            return embeds, torch.zeros_like(embeds), pooled, torch.zeros_like(pooled)
        negatives = [negative or ""] * len(prompt) if not isinstance(negative, list) else negative
        negative_embeds, negative_pooled = self._encode(negatives)
        return embeds, negative_embeds, pooled, negative_pooled

    def scheduler(self, recipe: Recipe, make: Callable[[str], Any]) -> Any:
        """Copy a scheduler whose timesteps are set and on the device already."""
        if make is not seams.make_scheduler:  # a trial's, which may keep state on purpose
            return self._stock.scheduler(recipe, make)
        key = (recipe.scheduler, recipe.num_inference_steps)
        if key not in self._schedulers:
            _keep(self._schedulers, key, self._stock.scheduler(recipe, make))
        return copy.deepcopy(self._schedulers[key])

    def noise(
        self,
        recipe: Recipe,
        generators: Sequence[torch.Generator],
        shape: tuple[int, int, int],
        dtype: torch.dtype,
    ) -> BatchNoise:
        """Draw and upload all noise of a batch at once, as far as an earlier run showed it."""
        if "noise" in self.given_back or not isinstance(generators[0], torch.Generator):
            return self._stock.noise(recipe, generators, shape, dtype)
        steps = (recipe.num_inference_steps, recipe.steps_run)
        key = (recipe.scheduler, *steps, len(generators), shape, dtype)
        uploaded = UploadedNoise(
            generators, shape, dtype=dtype, device=self.device, planned=self._draws.get(key, ())
        )
        _keep(self._draws, key, uploaded.seen)  # filled while the steps run
        return BatchNoise(uploaded.initial, uploaded)

    def encode(self, image: torch.Tensor, dtype: torch.dtype) -> Any:
        """Encode a source image, without casting a VAE that is kept in float32."""
        vae = self.pipeline.vae
        if self._is_upcast and "encode" not in self.given_back:
            return vae.encode(image.to(self.device, dtype).float())
        is_cast = vae.config.force_upcast and vae.dtype != torch.float32
        encoded = self._stock.encode(image, dtype)
        self._keep_upcast()
        if is_cast and self.graphs is not None:
            self.graphs.clear()  # they read weights that the cast has moved
        return encoded

    def time_ids(self, size: Size, dtype: torch.dtype) -> torch.Tensor:
        """Return the time ids of a size; uploaded once."""
        key = (size, dtype)
        if key not in self._time_ids:
            _keep(self._time_ids, key, self._stock.time_ids(size, dtype))
        return self._time_ids[key]

    def unet(
        self, model_input: torch.Tensor, timestep: torch.Tensor, given: Conditioning
    ) -> torch.Tensor:
        """Predict the noise, by a graph of the UNet if there are graphs."""

        def call(sample: torch.Tensor, time: torch.Tensor, *inputs: torch.Tensor) -> Tensors:
            embeds, pooled, time_ids, *cond = inputs
            conditioning = Conditioning(embeds, pooled, time_ids, cond[0] if cond else None)
            return (self._stock.unet(sample, time, conditioning),)

        cond = () if given.timestep_cond is None else (given.timestep_cond,)
        inputs = (given.prompt_embeds, given.pooled_prompt_embeds, given.time_ids, *cond)
        return self._run("unet", call, model_input, timestep, *inputs)[0]

    def decode(self, latents: torch.Tensor, around: Around) -> torch.Tensor:
        """Decode without casting the VAE, by a graph of its decoder if there are graphs."""
        if "vae" in self.given_back:
            return self._stock.decode(latents, around)
        vae = self.pipeline.vae
        scaled = latents.to(decoding_dtype(vae, latents)) / vae.config.scaling_factor
        return around(self.vae_decode, scaled)

    def vae_decode(self, scaled: torch.Tensor) -> torch.Tensor:
        """Decode scaled latents."""
        return self._run("vae", lambda given: (self._stock.vae_decode(given),), scaled)[0]

    def _encode(self, texts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return embeddings and pooled embedding of texts."""
        pipe = self.pipeline
        ids = [
            tokenizer(
                texts,
                padding="max_length",
                max_length=tokenizer.model_max_length,
                truncation=True,
                return_tensors="pt",
            ).input_ids
            for tokenizer in (pipe.tokenizer, pipe.tokenizer_2)
        ]
        inputs = [upload(own, self.device) for own in ids]
        embeds, pooled = self._run("text", self._text_encoders, *inputs)
        return embeds, pooled

    def _text_encoders(self, first_ids: torch.Tensor, second_ids: torch.Tensor) -> Tensors:
        """Call both text encoders; ``encode_prompt`` takes the layer before the last of each."""
        pipe = self.pipeline
        if self._shorter_encoder is not None:
            first = self._shorter_encoder(first_ids)[0]
        else:
            first = pipe.text_encoder(first_ids, output_hidden_states=True).hidden_states[-2]
        # The pooled embedding is made of the last layer of the second one.
        second = pipe.text_encoder_2(second_ids, output_hidden_states=True)
        embeds = torch.concat([first, second.hidden_states[-2]], dim=-1)
        return embeds.to(dtype=pipe.text_encoder_2.dtype), second[0]

    def _run(self, part: Part, call: Callable[..., Tensors], *inputs: torch.Tensor) -> Tensors:
        if self.graphs is None or part in self.given_back:
            return call(*inputs)
        return self.graphs.call(part, call, *inputs)


def _keep(cache: dict[Any, Any], key: Any, value: Any) -> None:
    cache[key] = value
    if len(cache) > _KEPT:
        del cache[next(iter(cache))]
