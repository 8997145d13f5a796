"""Draw batches on one resident pipeline: one runner per way of sharing work.

Owns what happens when memory is short: a batch is drawn in halves, or in smaller
common passes, and the result says so. A runner serves the batches of one group.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from turbo_lab.errors import NonFiniteError
from turbo_lab.request.recipe import Batch, Layout
from turbo_lab.runtime.batched import MAX_UNET_ROWS, BatchedGroup
from turbo_lab.runtime.memory import is_out_of_memory, release
from turbo_lab.runtime.sampler import Sampler, SharedWork
from turbo_lab.runtime.stock import StockSampler

if TYPE_CHECKING:
    from turbo_lab.runtime.seams import Observer


@dataclass(frozen=True)
class Drawn:
    """The images of one batch, and how they were drawn."""

    pixels: np.ndarray
    """(N, H, W, 3) uint8 RGB in [0, 255]."""
    notes: tuple[str, ...] = ()
    """Notes for readers of the batch, such as ``out of memory at 4 images: drawn as 2+2``."""
    library_warnings: tuple[str, ...] = ()
    """Warnings of diffusers, transformers and peft, which those have printed already."""
    split: bool = False
    """``True`` if the batch was drawn in parts, so that its rows have the bits of other layouts."""


Prepare = Callable[[Batch, str | None], None]
"""Called with a batch and its negative prompt."""


def _nothing(batch: Batch, negative_prompt: str | None) -> None:
    """Prepare nothing."""


class BatchRunner(Protocol):
    """A way to draw the batches of one group."""

    def run(self, batch: Batch, negative_prompt: str | None, observe: Observer) -> Drawn:
        """Draw one batch; ``observe`` is called with every stage's name and tensor."""


@dataclass
class ExactRunner:
    """Draws each batch by itself and reuses equal work: the bits are those of the stock call."""

    sampler: Sampler
    """Sampler on the resident pipeline."""
    may_split: bool
    """``True``: a batch that does not fit is drawn in halves. ``False``: it fails."""
    prepare: Prepare = _nothing
    """Called before each batch is drawn."""
    _shared: dict[Layout, SharedWork] = field(default_factory=dict)

    def run(self, batch: Batch, negative_prompt: str | None, observe: Observer) -> Drawn:
        """Draw one batch, in parts if it does not fit and may be split."""

        def draw(part: Batch) -> np.ndarray:
            self.prepare(part, negative_prompt)
            shared = self._shared.setdefault(part.layout, SharedWork())
            return self.sampler.run(part, negative_prompt, shared, observe)

        return _joined(_draw_parts(draw, batch, self.may_split))


@dataclass
class StockRunner:
    """Draws each batch by the stock pipeline, for what the sampler does not cover."""

    sampler: StockSampler
    """Sampler on the resident pipeline."""
    may_split: bool
    """``True``: a batch that does not fit is drawn in halves. ``False``: it fails."""
    reason: str
    """Part of the pipeline that the sampler does not cover."""

    def run(self, batch: Batch, negative_prompt: str | None, observe: Observer) -> Drawn:
        """Draw one batch, in parts if it does not fit and may be split."""

        def draw(part: Batch) -> np.ndarray:
            return self.sampler.run(part, negative_prompt, SharedWork(), observe)

        note = f"{self.reason}: drawn by the stock pipeline, nothing shared"
        return _joined(_draw_parts(draw, batch, self.may_split), note)


@dataclass
class BatchedRunner:
    """Draws the batches of a group in common passes."""

    sampler: Sampler
    """Sampler on the resident pipeline."""
    group: Sequence[tuple[Batch, str | None]]
    """Batches that are drawn together, each with its negative prompt."""
    may_split: bool
    """``True``: passes that do not fit are made smaller. ``False``: the batch fails."""
    prepare: Prepare = _nothing
    """Called before each batch is drawn."""
    _together: BatchedGroup | None = None

    def run(self, batch: Batch, negative_prompt: str | None, observe: Observer) -> Drawn:
        """Draw one batch with its group, or alone if it is not in the group."""
        self.prepare(batch, negative_prompt)
        if self._together is None:
            self._together = BatchedGroup(self.sampler, self.group)
        together = self._together
        if not together.holds(batch):
            together = BatchedGroup(self.sampler, [(batch, negative_prompt)])
        while True:
            try:
                pixels = together.images(batch, observe)
                break
            except NonFiniteError:
                raise  # it is about this batch's own rows
            except Exception as error:
                if is_out_of_memory(error) and self.may_split and together.shrink():
                    continue
                if len(together.work) == 1:
                    raise
            # One batch's error must not be the others': from here on each is drawn by itself.
            self._together = BatchedGroup(self.sampler, ())
            together = BatchedGroup(self.sampler, [(batch, negative_prompt)])
            release()
        if together.max_unet_rows == MAX_UNET_ROWS:
            return Drawn(pixels)
        rows = together.max_unet_rows
        return Drawn(pixels, (f"out of memory: at most {rows} rows a UNet call",))


class _DrawPart(Protocol):
    def __call__(self, part: Batch, /) -> np.ndarray: ...


def _draw_parts(draw: _DrawPart, batch: Batch, may_split: bool) -> list[np.ndarray]:
    """Draw the batch whole, or in halves of halves until they fit, if it may be split."""
    layout, rows = batch.layout, len(batch.layout.seeds)
    try:
        return [draw(batch)]
    except (MemoryError, RuntimeError) as error:
        if rows == 1 or not may_split or not is_out_of_memory(error):
            raise
    release()
    parts = []
    for half in (slice(None, rows // 2), slice(rows // 2, None)):
        smaller = Batch(batch.recipe, layout.part(half))
        parts += _draw_parts(draw, smaller, may_split)
    return parts


def _joined(parts: Sequence[np.ndarray], *notes: str) -> Drawn:
    """Join the parts of a batch, and note how many images each part had."""
    pixels = np.concatenate(parts)
    if len(parts) == 1:
        return Drawn(pixels, notes)
    sizes = "+".join(str(len(part)) for part in parts)
    note = f"out of memory at {len(pixels)} images: drawn as {sizes}"
    return Drawn(pixels, (*notes, note), split=True)
