"""A worker: draws and times batches on the resident pipeline.

Owns which runner draws a batch and how long shared work is kept: text encodings until the
weights change, everything else for one group. The driver uses it through ``prepare``,
``new_group``, ``run`` and ``time_cell`` only.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from turbo_lab.environment import Fingerprint
from turbo_lab.execute.resident import ResidentPipeline, Weights
from turbo_lab.planning.work import WorkDone
from turbo_lab.progress import waiting
from turbo_lab.request.recipe import Batch, Cell, Recipe
from turbo_lab.runtime.failures import cell_failures
from turbo_lab.runtime.library_warnings import library_warnings
from turbo_lab.runtime.seams import SWEEP_SEAMS, Seams, pass_on
from turbo_lab.store.record import Timing

if TYPE_CHECKING:
    from turbo_lab.planning.resolved_sweep import ResolvedSweep
    from turbo_lab.runtime.image_to_image import SourceReader
    from turbo_lab.runtime.runners import BatchRunner, Drawn
    from turbo_lab.runtime.sampler import Sampler
    from turbo_lab.runtime.seams import Observer
    from turbo_lab.runtime.timed_call import TimedCall


@dataclass
class Worker:
    """Draws batches on one device, with one way of sharing work."""

    resident: ResidentPipeline
    """Pipeline that the worker draws with."""
    num_threads: int
    """CPU threads of the image lane and of the timing lane."""
    share: str = "exact"
    """Work that the batches of a group share: ``exact``, ``batched`` or ``none``."""
    may_split: bool = False
    """``True``: a batch that does not fit is drawn in parts. ``False``: it fails."""
    seams: Seams = SWEEP_SEAMS
    """Steps of drawing that a trial may have replaced."""
    work: WorkDone = field(default_factory=WorkDone)
    """Rows evaluated so far."""
    _group: Sequence[tuple[Batch, str | None]] = field(default=(), init=False)
    _runner: BatchRunner | None = field(default=None, init=False)
    _sampler: Sampler | None = field(default=None, init=False)
    _version: int = field(default=-1, init=False)

    def prepare(self, recipe: Recipe) -> None:
        """Make a recipe's weights resident. Raises ``TurboLabError`` if they do not fit."""
        if not self.resident.holds(recipe):
            self._runner, self._sampler = None, None  # they hold the old weights
        with cell_failures():
            self.resident.prepare(recipe, self.seams.put_on_lora)

    def new_group(self, batches: Sequence[tuple[Batch, str | None]] = ()) -> None:
        """Begin a group; ``batches``, each with its negative prompt, may be drawn together."""
        self._group, self._runner = batches, None
        if self.share == "none":
            self._sampler = None

    def cold(self, seams: Seams | None = None, num_threads: int | None = None) -> Worker:
        """Return a worker on the same resident pipeline that has drawn nothing yet.

        ``seams`` and ``num_threads`` are those of this worker if ``None``.
        """
        return replace(
            self,
            seams=self.seams if seams is None else seams,
            num_threads=self.num_threads if num_threads is None else num_threads,
            work=WorkDone(),
        )

    def run(self, batch: Batch, negative_prompt: str | None, observe: Observer = pass_on) -> Drawn:
        """Draw one batch in the image lane; its weights must be resident.

        ``observe`` is called with each stage's name and tensor, and drawing continues
        with the tensor that it returns. Raises ``TurboLabError`` if it cannot be drawn;
        any other exception is a bug in turbo-lab.
        """
        with self.image_lane(), cell_failures(), library_warnings() as warned:
            drawn = self._current_runner().run(batch, negative_prompt, observe)
            if self.resident.compilation is not None:
                self.resident.compilation.require()
        resident = self.resident
        return replace(
            drawn,
            notes=(*drawn.notes, *self._pipeline_notes()),
            library_warnings=(*resident.adapter_warnings, *resident.load_warnings, *warned),
        )

    def _pipeline_notes(self) -> tuple[str, ...]:
        """Return what a reader of a result must know of the pipeline that made it."""
        resident = self.resident
        notes = [*resident.notes]
        if resident.compilation is not None:
            notes += resident.compilation.notes()
        if resident.exact is not None:
            notes += resident.exact.notes()
        elif resident.keys.loop == "exact":
            reason = resident.not_covered
            notes.append(f"loop=exact: does not cover {reason}; timed by the stock call")
        return tuple(notes)

    def _prove(self, lane: str, batch: Batch, negative_prompt: str | None) -> None:
        """Compare the exact loop with the stock call, once per loaded pipeline, lane and kind."""
        from turbo_lab.runtime.proof import prove

        exact = self.resident.exact
        way = f"{lane}, image to image" if batch.layout.sources else lane
        if exact is not None and way not in exact.proved:
            with waiting("comparing the exact loop with the stock call on this device"):
                prove(exact, batch, negative_prompt, self._sources)
            exact.proved.add(way)

    @property
    def _sources(self) -> SourceReader:
        return partial(self.resident.weights.source_pixels, read=self.seams.read_source)

    def _current_runner(self) -> BatchRunner:
        if self._version != self.resident.version:
            self._runner, self._sampler = None, None
            self._version = self.resident.version
        if self._runner is None:
            self._runner = self._make_runner()
        return self._runner

    def _make_runner(self) -> BatchRunner:
        import torch

        from turbo_lab.runtime.runners import BatchedRunner, ExactRunner, StockRunner
        from turbo_lab.runtime.sampler import Sampler
        from turbo_lab.runtime.stock import StockSampler

        pipeline = self.resident.pipeline
        device = torch.device(self.resident.device)
        if self.resident.not_covered:
            sampler = StockSampler(pipeline, device, self.work, self.seams, self._sources)
            return StockRunner(sampler, self.may_split, self.resident.not_covered)
        if self._sampler is None:
            exact = self.resident.exact
            self._sampler = Sampler(
                pipeline, device, self.work, self.seams, stages=exact, sources=self._sources
            )
        prove = partial(self._prove, "image")
        if self.share == "batched":
            return BatchedRunner(self._sampler, self._group, self.may_split, prove)
        return ExactRunner(self._sampler, self.may_split, prove)

    @contextmanager
    def image_lane(self) -> Iterator[None]:
        """Set the deterministic settings for everything run inside."""
        from turbo_lab.runtime.determinism import SDPA_BACKENDS, attention_order, image_lane

        keys, device = self.resident.keys, self.resident.device
        order = attention_order(keys.attention, device) or SDPA_BACKENDS[device]
        with image_lane(self.num_threads, self.seams.sdpa_backends or order, keys.tf32):
            yield

    def timed_call(self, cell: Cell) -> TimedCall:
        """Return the call of the cell's first batch that the timing lane times.

        It is the stock pipeline's, or the exact loop's where the recipe asks for it.
        Weights must be resident.
        """
        from turbo_lab.runtime.determinism import timing_lane
        from turbo_lab.runtime.timed_call import exact_call, stock_call

        batch, negative, exact = cell.batches[0], cell.negative_prompt, self.resident.exact
        keys = self.resident.keys
        lane = partial(timing_lane, keys.attention, keys.tf32, self.resident.device)
        began = time.perf_counter()
        with self.thread_count(), lane():
            self._prove("timing", batch, negative)
        if exact is None or "loop" in exact.given_back:
            call = stock_call(
                self.resident.pipeline, batch, negative, self.seams, sources=self._sources
            )
        else:
            call = exact_call(exact, batch, negative, self.seams, sources=self._sources)
            call.preparation_s = time.perf_counter() - began
        return call if keys.attention == keys.tf32 == "auto" else call.within(lane)

    def time_cell(self, cell: Cell, rule_name: str, fingerprint: Fingerprint) -> Timing:
        """Time the cell's first batch; nothing is shared.

        Raises as :meth:`run`.
        """
        from turbo_lab.runtime.stage_clock import StageClock
        from turbo_lab.runtime.timing import measure_call, timing, timing_rule

        device, compilation = self.resident.device, self.resident.compilation
        compiled_s = 0.0 if compilation is None else compilation.seconds
        with cell_failures():
            call = self.timed_call(cell)
            clock = StageClock(self.resident.pipeline, device, call.methods)
            with self.thread_count(), clock as stages:
                taken = measure_call(call, timing_rule(rule_name), device, stages)
        taken = replace(
            taken,
            first_call_s=taken.first_call_s + call.preparation_s,
            warnings=(
                *taken.warnings,
                *self.resident.adapter_warnings,
                *self._pipeline_notes(),
            ),
        )
        found = timing(
            taken,
            cell.cell_id,
            batch_size=len(cell.batches[0].layout.seeds),
            fingerprint=fingerprint,
            rule=rule_name,
        )
        graphs = None if self.resident.exact is None else self.resident.exact.graphs
        return replace(
            found,
            compile_s=None if compilation is None else compilation.seconds - compiled_s,
            graph_pool_bytes=None if graphs is None else graphs.num_bytes,
            weights_bytes=self.resident.weights_bytes,
        )

    @contextmanager
    def thread_count(self) -> Iterator[None]:
        """Set the pinned number of threads, and no other switch of the image lane."""
        import torch

        before = torch.get_num_threads()
        torch.set_num_threads(self.num_threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def worker_for(sweep: ResolvedSweep) -> Worker:
    """Return a worker that can draw every cell of a sweep."""
    return Worker(
        ResidentPipeline(Weights.of(sweep.library), sweep.device, sweep.options.compile_limit_s),
        sweep.options.num_threads,
        share=sweep.options.share,
        may_split=sweep.options.may_split,
    )
