"""A worker: one resident pipeline in this process, swapped as the plan goes on.

Owns which weights are loaded and which adapters are on them. The driver talks
to it through ``prepare``, ``run`` and ``time_cell`` only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from turbo_lab.plan import WorkDone
from turbo_lab.record import Timing
from turbo_lab.spec import Batch, Cell, Recipe

if TYPE_CHECKING:
    from diffusers import StableDiffusionXLPipeline

    from turbo_lab.runtime.sampler import Sampler, Starts


@dataclass(frozen=True)
class Weights:
    """Where the files behind a recipe's digests lie on this machine."""

    models: dict[str, Path]
    """Model digest to a diffusers folder or a single file."""
    adapters: dict[str, tuple[str, Path]]
    """Adapter digest to its name and file."""


@dataclass
class Worker:
    """Generates on one device."""

    weights: Weights
    """Looked up by digest."""
    device: str
    """``cpu`` or ``cuda``."""
    num_threads: int
    """CPU threads of the image lane."""
    load_s: float = 0.0
    """Imports and loading so far."""
    work: WorkDone = field(default_factory=WorkDone)
    """Rows evaluated so far."""
    _model: tuple[Any, ...] | None = None
    _lora: tuple[tuple[str, float], ...] = ()
    _sampler: Sampler | None = None
    _measured_prompts: set[str] = field(default_factory=set)
    _starts: Starts = field(default_factory=dict)

    def prepare(self, recipe: Recipe) -> None:
        """Make a recipe's weights resident. Raises ``TurboLabError`` where they do not fit."""
        began = time.perf_counter()
        import torch

        from turbo_lab.runtime import lora
        from turbo_lab.runtime.pipeline import load_pipeline
        from turbo_lab.runtime.sampler import Sampler

        model = (recipe.model, recipe.dtype, recipe.variant)
        if self._model != model:
            # The old weights go before the new ones come: two may not fit.
            self._sampler, self._model, self._lora = None, None, ()
            device = torch.device(self.device)
            path = self.weights.models[recipe.model]
            pipeline = load_pipeline(path, recipe.scheduler, recipe.dtype, device)
            self._sampler = Sampler(pipeline, device, self.work)
            self._model = model
        assert self._sampler is not None
        if self._lora != recipe.lora:
            if self._lora:
                lora.take_off(self._sampler.pipeline)
            self._lora = ()
            self._sampler.forget_encodings()
            named = [(*self.weights.adapters[digest], w) for digest, w in recipe.lora]
            lora.put_on(self._sampler.pipeline, named)
            self._lora = recipe.lora
        self.load_s += time.perf_counter() - began

    def forget_adapters(self) -> None:
        """Take off what is on; the next recipe's adapters are put on anew."""
        if self._sampler is not None and self._lora:
            from turbo_lab.runtime import lora

            lora.take_off(self._sampler.pipeline)
            self._sampler.forget_encodings()
        self._lora = ()

    def cut_prompts(self, prompts: Sequence[str]) -> dict[str, str]:
        """Prompts that the resident tokenizers cut, with what is lost; each is told once."""
        from turbo_lab.runtime.pipeline import cut_prompts

        new = [prompt for prompt in prompts if prompt not in self._measured_prompts]
        self._measured_prompts.update(new)
        return cut_prompts(self.pipeline(), new)

    def start_cold(self) -> None:
        """Forget all that earlier work left: encodings and starts."""
        assert self._sampler is not None
        self._sampler.forget_encodings()
        self.new_group()

    def new_group(self) -> None:
        """Starts of the last group belong to other rows."""
        self._starts = {}

    def run(self, batch: Batch, negative_prompt: str | None) -> np.ndarray:
        """Images of one batch, (N, H, W, 3) uint8; its weights must be resident."""
        assert self._sampler is not None
        return self._sampler.run(batch, negative_prompt, self._starts)

    @contextmanager
    def observed(self, observe: Callable[[str, Any], Any]) -> Iterator[None]:
        """Show every stage's tensor to ``observe``, which gives back the one to go on with."""
        assert self._sampler is not None
        before, self._sampler.observe = self._sampler.observe, observe
        try:
            yield
        finally:
            self._sampler.observe = before

    @contextmanager
    def kept_stages(self) -> Iterator[dict[str, Any]]:
        """The tensors of the stages that run inside, by name; for hashing off the critical path."""
        kept: dict[str, Any] = {}

        def keep(stage: str, tensor: Any) -> Any:
            kept[stage] = tensor
            return tensor

        with self.observed(keep):
            yield kept

    @contextmanager
    def image_lane(self) -> Iterator[None]:
        """Deterministic settings for everything run inside."""
        from turbo_lab.runtime.determinism import image_lane

        with image_lane(self.num_threads):
            yield

    def pipeline(self) -> StableDiffusionXLPipeline:
        """The resident pipeline."""
        assert self._sampler is not None
        return self._sampler.pipeline

    def stock_call(self, cell: Cell) -> Callable[[], object]:
        """The stock pipeline's call on the cell's first batch; its weights must be resident."""
        from turbo_lab.runtime.noise import image_generators
        from turbo_lab.runtime.pipeline import make_scheduler

        pipeline, recipe, layout = self.pipeline(), cell.recipe, cell.batches[0].layout
        pipeline.scheduler = make_scheduler(recipe.scheduler)
        negative = cell.negative_prompt

        def call() -> object:
            return pipeline(
                prompt=list(layout.prompts),
                negative_prompt=None if negative is None else [negative] * len(layout.prompts),
                num_inference_steps=recipe.num_inference_steps,
                guidance_scale=recipe.guidance_scale,
                width=recipe.width,
                height=recipe.height,
                generator=image_generators(layout.seeds),
            )

        return call

    def time_cell(self, cell: Cell, rule_name: str, fingerprint: Mapping[str, Any]) -> Timing:
        """The timing lane: the stock call on the cell's first batch, nothing shared."""
        from turbo_lab.runtime.stages import StageClock
        from turbo_lab.runtime.timing import measure_call, timing, timing_rule

        call = self.stock_call(cell)
        with self.thread_count(), StageClock(self.pipeline(), self.device) as stages:
            taken = measure_call(call, timing_rule(rule_name), self.device, stages)
        return timing(taken, cell.cell_id, len(cell.batches[0].layout.seeds), fingerprint)

    @contextmanager
    def thread_count(self) -> Iterator[None]:
        """The pinned number of threads, and no other switch of the image lane."""
        import torch

        before = torch.get_num_threads()
        torch.set_num_threads(self.num_threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)
