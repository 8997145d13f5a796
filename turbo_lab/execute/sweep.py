"""The driver of a sweep: plan in, committed batches, records and figures out.

Owns the order of events: cheap checks first, then batches group by group, the
timing lane while a model is still resident, records when a cell's last batch is
on disk, and measurements at the end. A cell that fails is recorded and the rest
goes on. Whatever was committed stays, so that the same command resumes.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from turbo_lab.errors import IncompleteError, TurboLabError
from turbo_lab.execute.commit import Committer
from turbo_lab.execute.worker import Worker
from turbo_lab.plan import Group, Job, Plan, PlannedCell
from turbo_lab.record import Record
from turbo_lab.spec import Batch, Cell, as_plain
from turbo_lab.store import Store, record_id, reuse_key

# What a model, an adapter or a device may refuse; anything else is our own bug.
_CELL_FAILURES = (TurboLabError, RuntimeError, ValueError, MemoryError)


@dataclass(frozen=True)
class SweepContext:
    """What all cells of a sweep share."""

    store: Store
    """Where everything goes."""
    fingerprint: Mapping[str, Any]
    """``keys`` and ``options`` of this environment."""
    exactness: str
    """``exact`` or ``batched``."""
    provenance: Mapping[str, Any]
    """Goes into every record: models, adapters, licences, prompt sets by digest."""
    names: Mapping[str, str]
    """Digest to name of models and adapters, for people."""
    timing: str | None
    """Rule of the timing lane, ``short`` or ``full``; ``None``: no timing."""
    may_split: bool = False
    """A batch that does not fit may be drawn in parts; it is then ``split``, not ``exact``."""

    def reuse_key(self, batch: Batch, exactness: str | None = None) -> str:
        """The key under which this environment may reuse a batch."""
        keys = self.fingerprint["keys"]
        return reuse_key(batch.batch_id, keys, exactness or self.exactness)

    def stored_key(self, batch: Batch) -> str:
        """The key of the batch that is there: a split one only where no other is."""
        key, split = self.reuse_key(batch), self.reuse_key(batch, "split")
        only_split = self.may_split and not self.store.holds(key) and self.store.holds(split)
        return split if only_split else key

    def exactness_of(self, cell: Cell) -> str:
        """``split`` where any of a cell's batches is."""
        is_split = self.may_split and any(
            self.stored_key(batch) != self.reuse_key(batch) for batch in cell.batches
        )
        return "split" if is_split else self.exactness

    def notes_of(self, cell: Cell) -> list[str]:
        """What its batches say of how they were drawn."""
        stored = (self.store.read_batch(self.stored_key(batch)) for batch in cell.batches)
        return list(dict.fromkeys(note for batch in stored for note in batch.notes))

    def record_id(self, cell: Cell) -> str:
        """Names a cell as made in this environment."""
        return record_id(cell.cell_id, self.fingerprint["keys"], self.exactness_of(cell))


class Progress(Protocol):
    """What the driver tells whoever watches."""

    def begin(self, images: int) -> None:
        """``images`` are left to make."""

    def advance(self, images: int) -> None:
        """That many more are on disk."""

    def note(self, text: str) -> None:
        """One line worth reading."""


@dataclass
class SweepOutcome:
    """What a run of the driver did."""

    records: dict[str, Record] = field(default_factory=dict)
    """By cell id; failed ones included."""
    load_s: float = 0.0
    """Imports and loading."""
    wall_s: float = 0.0
    """From the first batch's start to the last commit, loading and timing left out."""
    timing_s: float = 0.0
    """Spent in the timing lane."""
    work: dict[str, int] = field(default_factory=dict)
    """Rows evaluated."""


def run_plan(plan: Plan, worker: Worker, context: SweepContext, progress: Progress) -> SweepOutcome:
    """Run what the store lacks and write a record for every cell.

    Raises :class:`IncompleteError` on Ctrl-C once everything in hand is on disk.
    """
    driver = _Driver(plan, worker, context, progress)
    outcome = SweepOutcome(work={"unet_rows": 0, "vae_rows": 0, "text_rows": 0})
    if plan.groups or driver.untimed:
        driver.run(outcome)
    for planned in plan.cells:
        cell = planned.cell
        outcome.records[cell.cell_id] = driver.finish(cell)
    return outcome


class _Driver:
    """The state of one run."""

    def __init__(
        self, plan: Plan, worker: Worker, context: SweepContext, progress: Progress
    ) -> None:
        self.plan, self.worker, self.context, self.progress = plan, worker, context, progress
        self.failed: dict[str, str] = {}
        self.told: set[str] = set()
        # Batches that another sweep on this store has in hand: looked at again at the end.
        self.put_off: list[tuple[Group, Job]] = []
        store = context.store
        # By cell: batches that are not yet on disk. Counted down on the commit thread only.
        self.missing = {p.cell.cell_id: len(p.missing) for p in plan.cells}
        self.untimed = [
            planned.cell
            for planned in plan.cells
            if context.timing and not store.timings(context.record_id(planned.cell))
        ]

    def run(self, outcome: SweepOutcome) -> None:
        """All groups, then the timing lane of cells whose images were there already."""
        context = self.context
        committer = Committer(context.store, {"models": dict(context.names)})
        images = sum(len(group.layout.seeds) * len(group.jobs) for group in self.plan.groups)
        self.progress.begin(images)
        began = time.perf_counter()
        try:
            resident: Any = None
            for group in self.plan.groups:
                here = _weights_key(group.jobs[0].batch)
                if resident is not None and here != resident:
                    committer.drain()
                    self._time_resident(resident, outcome)
                resident = here
                self._run_group(group, committer)
            committer.drain()
            self._run_put_off(committer)
            self._time_resident(None, outcome)
        except KeyboardInterrupt:
            committer.close()
            raise IncompleteError(
                "interrupted: what is committed stays; run the same command again to resume"
            ) from None
        committer.close()
        outcome.load_s = self.worker.load_s
        outcome.wall_s = time.perf_counter() - began - outcome.timing_s - outcome.load_s
        if self.plan.groups and len(self.failed) < len(self.plan.cells):
            outcome.work = as_plain(self.worker.work)

    def _run_group(self, group: Group, committer: Committer) -> None:
        self.worker.new_group([(job.batch, job.cells[0].negative_prompt) for job in group.jobs])
        for job in group.jobs:
            if any(cell.cell_id in self.failed for cell in job.cells):
                continue
            if self.context.store.claim(self.context.reuse_key(job.batch)):
                self._run_job(group, job, committer)
            else:
                self.put_off.append((group, job))

    def _run_put_off(self, committer: Committer) -> None:
        """What others had in hand: there by now, or theirs no longer, for a dead process has none.

        Nothing is claimed meanwhile, so that two sweeps never wait for each other.
        """
        for group, job in self.put_off:
            committer.drain()
            self.worker.new_group()
            self.context.store.claim(self.context.reuse_key(job.batch), wait=True)
            self._run_job(group, job, committer)
        committer.drain()

    def _run_job(self, group: Group, job: Job, committer: Committer) -> None:
        """Run a claimed batch; the claim ends with its commit."""
        store, key = self.context.store, self.context.reuse_key(job.batch)
        if store.holds(self.context.stored_key(job.batch)):  # another sweep was quicker
            self._committed(job, key, len(job.batch.layout.seeds))
            return
        try:
            self.worker.prepare(job.batch.recipe)
            self._tell_cut_prompts(group.layout.prompts)
            with self.worker.image_lane(), self.worker.kept_stages() as stages:
                pixels = self.worker.run(job.batch, job.cells[0].negative_prompt)
        except _CELL_FAILURES as error:
            store.release(key)
            self._fail(job.cells, error)
            return
        done = partial(self._committed, job, key, len(pixels))
        notes, exactness = self.worker.notes, self.context.exactness
        if self.worker.is_split:
            exactness = "split"
        for text in [note for note in notes if note not in self.told]:
            self.told.add(text)
            self.progress.note(f"warning: {text}")
        made = self.context.reuse_key(job.batch, exactness)
        committer.submit(job.batch, made, exactness, pixels, stages, notes, done)

    def _committed(self, job: Job, key: str, images: int) -> None:
        """A batch is on disk: a cell's record follows its last one."""
        self.context.store.release(key)
        for cell in job.cells:
            self.missing[cell.cell_id] -= 1
            if self.missing[cell.cell_id] == 0 and cell.cell_id not in self.failed:
                self.finish(cell)
        self.progress.advance(images)

    def _tell_cut_prompts(self, prompts: Sequence[str]) -> None:
        for prompt, lost in self.worker.cut_prompts(prompts).items():
            self.progress.note(
                f"warning: prompt {prompt[:40]!r} is longer than the tokenizer's window; "
                f"cut: {lost!r}"
            )

    def _fail(self, cells: Iterable[Cell], error: BaseException) -> None:
        text = " ".join(str(error).split())[:500] or type(error).__name__
        for cell in cells:
            self.failed[cell.cell_id] = text
            axes = " ".join(f"{k}={v}" for k, v in cell.axes) or "the cell"
            self.progress.note(f"{axes} failed: {text}")

    def _time_resident(self, resident: Any, outcome: SweepOutcome) -> None:
        """Time the cells whose weights are resident; all that are left if ``None``."""
        if self.context.timing is None:
            return
        began, loaded = time.perf_counter(), self.worker.load_s
        for cell in list(self.untimed):
            if cell.cell_id in self.failed:
                continue
            if resident is None or _weights_key(cell.batches[0]) == resident:
                self._time_cell(cell)
                self.untimed.remove(cell)
        outcome.timing_s += time.perf_counter() - began - (self.worker.load_s - loaded)

    def _time_cell(self, cell: Cell) -> None:
        assert self.context.timing is not None
        try:
            self.worker.prepare(cell.recipe)
            timing = self.worker.time_cell(cell, self.context.timing, self.context.fingerprint)
        except _CELL_FAILURES as error:
            self.progress.note(f"timing failed: {error}")
            return
        self.context.store.write_timing(self.context.record_id(cell), timing)

    def finish(self, cell: Cell) -> Record:
        """The cell's record: read where there is one, else written now."""
        context = self.context
        name = context.record_id(cell)
        old = context.store.read_record(name)
        if old is not None and old.status == "done":
            return old
        error = self.failed.get(cell.cell_id)
        notes = [] if error else context.notes_of(cell)
        record = Record(
            record_id=name,
            cell_id=cell.cell_id,
            status="failed" if error else "done",
            error=error,
            exactness=context.exactness_of(cell),
            recipe=as_plain(cell.recipe),
            parameters=parameters(cell),
            batches=tuple(context.stored_key(batch) for batch in cell.batches),
            fingerprint=context.fingerprint,
            provenance={**context.provenance, **({"notes": notes} if notes else {})},
        )
        context.store.write_record(record)
        return record


def parameters(cell: Cell) -> dict[str, Any]:
    """A cell's config keys as a person would write them."""
    from turbo_lab.spec import format_lora

    request = cell.request
    return {
        "model": request.model,
        "prompts": request.prompts,
        "num_inference_steps": request.num_inference_steps,
        "guidance_scale": request.guidance_scale,
        "resolution": f"{request.width}x{request.height}",
        "batch_size": request.batch_size,
        "lora": format_lora(request.lora),
        "seed": request.seed,
        "seed_mode": request.seed_mode,
        "negative_prompt": request.negative_prompt,
        "scheduler": request.scheduler,
        "dtype": request.dtype,
        "num_images": cell.num_images,
    }


def _weights_key(batch: Batch) -> tuple[Any, ...]:
    recipe = batch.recipe
    return (recipe.model, recipe.dtype, recipe.variant, recipe.lora)


__all__ = ["Job", "PlannedCell", "Progress", "SweepContext", "SweepOutcome", "run_plan"]
