"""A worker: one resident pipeline in this process, swapped as the plan goes on.

Owns which weights are loaded and which adapters are on them. The driver talks
to it through ``prepare``, ``run`` and ``time_cell`` only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from turbo_lab.environment import Fingerprint
from turbo_lab.errors import TurboLabError
from turbo_lab.planning.plan import WorkDone
from turbo_lab.request.recipe import Batch, Cell, Layout, Recipe
from turbo_lab.store.record import Timing

if TYPE_CHECKING:
    from diffusers import StableDiffusionXLPipeline

    from turbo_lab.planning.resolved_sweep import ResolvedSweep
    from turbo_lab.runtime.batched import BatchedGroup
    from turbo_lab.runtime.sampler import Sampler, SharedWork
    from turbo_lab.runtime.stock import StockSampler


@dataclass(frozen=True)
class Weights:
    """Where the files behind a recipe's digests lie on this machine."""

    models: dict[str, Path]
    """Model digest to a diffusers folder or a single file."""
    adapters: dict[str, tuple[str, Path]]
    """Adapter digest to its name and file."""
    vaes: dict[str, Path] = field(default_factory=dict)
    """VAE digest to its folder."""


@dataclass
class Worker:
    """Generates on one device."""

    weights: Weights
    """Looked up by digest."""
    device: str
    """``cpu`` or ``cuda``."""
    num_threads: int
    """CPU threads of the image lane."""
    share: str = "exact"
    """``exact``, ``batched`` or ``none``: what the batches of a group have in common."""
    split_on_out_of_memory: bool = False
    """Draw a batch that does not fit in halves; else it fails."""
    load_s: float = 0.0
    """Imports and loading so far."""
    work: WorkDone = field(default_factory=WorkDone)
    """Rows evaluated so far."""
    notes: tuple[str, ...] = ()
    """What a reader of the last batch must know."""
    is_split: bool = False
    """The last batch was drawn in parts, so that its rows have the bits of another layout."""
    _model: tuple[Any, ...] | None = None
    _lora: tuple[tuple[str, float], ...] = ()
    _sampler: Sampler | StockSampler | None = None
    _not_covered: str | None = None
    _measured_prompts: set[str] = field(default_factory=set)
    _group: Sequence[tuple[Batch, str | None]] = ()
    _together: BatchedGroup | None = None
    _shared: dict[Layout, SharedWork] = field(default_factory=dict)
    _kept: dict[str, Any] | None = None

    def prepare(self, recipe: Recipe) -> None:
        """Make a recipe's weights resident. Raises ``TurboLabError`` where they do not fit."""
        began = time.perf_counter()
        from turbo_lab.runtime.imports import uncollected_imports

        with uncollected_imports():
            import torch

            from turbo_lab.runtime import lora
            from turbo_lab.runtime.pipeline import compile_unet, load_pipeline, quantize_unet
            from turbo_lab.runtime.sampler import Sampler
            from turbo_lab.runtime.stock import StockSampler, why_not_covered

        model = (recipe.model, recipe.dtype, recipe.variant)
        if self._model != model:
            # The old weights go before the new ones come: two may not fit.
            self._sampler, self._model, self._lora = None, None, ()
            device = torch.device(self.device)
            path, variant = self.weights.models[recipe.model], dict(recipe.variant)
            vae = self.weights.vaes[variant["vae"]] if "vae" in variant else None
            pipeline = load_pipeline(path, recipe.scheduler, recipe.dtype, device, vae)
            if "quantization" in variant:
                scheme, _, version = variant["quantization"].partition(" torchao ")
                quantize_unet(pipeline, scheme, version)
            if "compile" in variant:
                compile_unet(pipeline)
            self._not_covered = why_not_covered(pipeline)
            kind = StockSampler if self._not_covered else Sampler
            self._sampler = kind(pipeline, device, self.work)
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
        """Remove the adapters; the next recipe's are put on again."""
        if self._sampler is not None and self._lora:
            from turbo_lab.runtime import lora

            lora.take_off(self._sampler.pipeline)
            self._sampler.forget_encodings()
        self._lora = ()

    def cut_prompts(self, prompts: Sequence[str]) -> dict[str, str]:
        """Return the prompts that the tokenizers cut and what is lost; each is reported once."""
        from turbo_lab.runtime.pipeline import cut_prompts

        new = [prompt for prompt in prompts if prompt not in self._measured_prompts]
        self._measured_prompts.update(new)
        return cut_prompts(self.pipeline(), new)

    def start_cold(self) -> None:
        """Forget all that earlier work left: encodings and starts."""
        assert self._sampler is not None
        self._sampler.forget_encodings()
        self.new_group()

    def new_group(self, batches: Sequence[tuple[Batch, str | None]] = ()) -> None:
        """Begin a group; ``batches``, each with its negative prompt, may be drawn together."""
        self._group, self._together, self._shared = batches, None, {}
        if self.share == "none" and self._sampler is not None:
            self._sampler.forget_encodings()

    def run(self, batch: Batch, negative_prompt: str | None) -> np.ndarray:
        """Images of one batch, (N, H, W, 3) uint8; its weights must be resident.

        ``notes`` and ``is_split`` then tell how it was drawn.
        """
        self.notes, self.is_split = (), False
        if self._not_covered:
            self._note(f"{self._not_covered}: drawn by the stock pipeline, nothing shared")
        elif self.share == "batched":
            return self._run_together(batch, negative_prompt)
        parts = self._run_parts(batch, negative_prompt)
        if len(parts) > 1:
            self.is_split = True
            sizes = "+".join(str(len(part)) for part in parts)
            self._note(f"out of memory at {len(batch.layout.seeds)} images: drawn as {sizes}")
            if self._kept is not None:
                self._kept.clear()  # of an attempt that failed, and of parts
        return np.concatenate(parts)

    def _run_parts(self, batch: Batch, negative_prompt: str | None) -> list[np.ndarray]:
        """The batch whole, or in halves of halves until they fit, where that is allowed."""
        from turbo_lab.runtime.memory import is_out_of_memory, release
        from turbo_lab.runtime.sampler import SharedWork

        assert self._sampler is not None
        layout, rows = batch.layout, len(batch.layout.seeds)
        try:
            shared = self._shared.setdefault(layout, SharedWork())
            return [self._sampler.run(batch, negative_prompt, shared)]
        except (MemoryError, RuntimeError) as error:
            if rows == 1 or not self.split_on_out_of_memory or not is_out_of_memory(error):
                raise
        release()
        parts = []
        for half in (slice(None, rows // 2), slice(rows // 2, None)):
            smaller = Batch(batch.recipe, Layout(layout.prompts[half], layout.seeds[half]))
            parts += self._run_parts(smaller, negative_prompt)
        return parts

    def _run_together(self, batch: Batch, negative_prompt: str | None) -> np.ndarray:
        """From the group's common passes; smaller ones where memory is short."""
        from turbo_lab.runtime.batched import MAX_UNET_ROWS, BatchedGroup
        from turbo_lab.runtime.memory import is_out_of_memory, release
        from turbo_lab.runtime.sampler import Sampler

        assert isinstance(self._sampler, Sampler)
        if self._together is None:
            self._together = BatchedGroup(self._sampler, self._group)
        together = self._together
        if not together.holds(batch):
            together = BatchedGroup(self._sampler, [(batch, negative_prompt)])
        while True:
            try:
                pixels = together.images(batch)
                break
            except (MemoryError, RuntimeError, ValueError, TurboLabError) as error:
                if is_out_of_memory(error) and self.split_on_out_of_memory and together.shrink():
                    continue
                if len(together.work) == 1:
                    raise
            # One batch's error must not be the others': each is drawn by itself from here on.
            self._group, self._together = (), BatchedGroup(self._sampler, ())
            together = BatchedGroup(self._sampler, [(batch, negative_prompt)])
            release()
        if together.max_unet_rows < MAX_UNET_ROWS:
            self._note(f"out of memory: at most {together.max_unet_rows} rows a UNet call")
        return pixels

    def _note(self, text: str) -> None:
        self.notes = (*self.notes, text)

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

        self._kept = kept
        try:
            with self.observed(keep):
                yield kept
        finally:
            self._kept = None

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

    def time_cell(self, cell: Cell, rule_name: str, fingerprint: Fingerprint) -> Timing:
        """The timing lane: the stock call on the cell's first batch, nothing shared."""
        from turbo_lab.runtime.stage_clock import StageClock
        from turbo_lab.runtime.timing import measure_call, timing, timing_rule

        call = self.stock_call(cell)
        with self.thread_count(), StageClock(self.pipeline(), self.device) as stages:
            taken = measure_call(call, timing_rule(rule_name), self.device, stages)
        return timing(
            taken, cell.cell_id, len(cell.batches[0].layout.seeds), fingerprint, rule_name
        )

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


def worker_for(sweep: ResolvedSweep) -> Worker:
    """Return a worker that can draw every cell of a sweep."""
    library = sweep.library
    weights = Weights(
        models={key: files.path for key, (_, files) in library.models.items()},
        adapters={key: (f.name, f.path) for key, f in library.adapters.items()},
        vaes={key: files.path for key, files in library.vaes.items()},
    )
    return Worker(
        weights,
        sweep.device,
        sweep.options.num_threads,
        share=sweep.options.share,
        split_on_out_of_memory=sweep.options.may_split,
    )
