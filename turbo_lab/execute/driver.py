"""The driver of a sweep: plan in, committed batches, records and figures out.

Owns the order of events: cheap checks first, then batches group by group, the
timing lane while a model is still resident, records when a cell's last batch is
on disk, and measurements at the end. A cell that fails is recorded and the rest
goes on. Committed work stays, so that the same command resumes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from turbo_lab.environment import Fingerprint
from turbo_lab.errors import IncompleteError, TurboLabError
from turbo_lab.execute.committer import Committer
from turbo_lab.execute.interrupt import Interrupts
from turbo_lab.execute.worker import Worker
from turbo_lab.planning.plan import Group, Job, Plan
from turbo_lab.request.recipe import Batch, Cell, as_plain
from turbo_lab.store.record import CellStatus, Exactness, Record
from turbo_lab.store.store import Store, record_id, reuse_key

# What a model, an adapter or a device may refuse; anything else is our own bug.
CELL_FAILURES = (TurboLabError, RuntimeError, ValueError, MemoryError)


@dataclass(frozen=True)
class SweepContext:
    """What all cells of a sweep share."""

    store: Store
    """Where everything goes."""
    fingerprint: Fingerprint
    """Environment that made it."""
    exactness: Exactness
    """``EXACT`` or ``BATCHED``."""
    provenance: Callable[[Cell], Mapping[str, Any]]
    """Goes into a cell's record: model, adapters, licences, prompt set by digest."""
    names: Callable[[Cell], Mapping[str, str]]
    """Digest to name of a cell's model and adapters, for people."""
    timing: str | None
    """Rule of the timing lane, ``short`` or ``full``; ``None``: no timing."""
    may_split: bool = False
    """A batch that does not fit may be drawn in parts; it is then ``split``, not ``exact``."""
    on_record: Callable[[Cell, Record], None] = lambda cell, record: None
    """Called once per cell after its record is written; may run on the commit thread."""
    on_batch: Callable[[], None] = lambda: None
    """Called on the commit thread after each batch is committed."""
    quiet: Callable[[], AbstractContextManager[None]] = nullcontext
    """Context entered while latency is measured, so that background work pauses."""

    def reuse_key(self, batch: Batch, exactness: Exactness | None = None) -> str:
        """The key under which this environment may reuse a batch."""
        keys = self.fingerprint.keys
        return reuse_key(batch.batch_id, keys, exactness or self.exactness)

    def stored_key(self, batch: Batch) -> str:
        """The key of the batch that is there: a split one only where no other is."""
        key, split = self.reuse_key(batch), self.reuse_key(batch, Exactness.SPLIT)
        only_split = self.may_split and not self.store.holds(key) and self.store.holds(split)
        return split if only_split else key

    def exactness_of(self, cell: Cell) -> Exactness:
        """``split`` where any of a cell's batches is."""
        is_split = self.may_split and any(
            self.stored_key(batch) != self.reuse_key(batch) for batch in cell.batches
        )
        return Exactness.SPLIT if is_split else self.exactness

    def notes_of(self, cell: Cell) -> list[str]:
        """What its batches say of how they were drawn."""
        stored = (self.store.read_batch(self.stored_key(batch)) for batch in cell.batches)
        return list(dict.fromkeys(note for batch in stored for note in batch.notes))

    def record_id(self, cell: Cell) -> str:
        """Names a cell as made in this environment."""
        return record_id(cell.cell_id, self.fingerprint.keys, self.exactness_of(cell))


class Progress(Protocol):
    """Progress events of a sweep."""

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

    Raises :class:`IncompleteError` on Ctrl-C once every batch in flight is on disk.
    """
    driver = _Driver(plan, worker, context, progress)
    outcome = SweepOutcome(work={"unet_rows": 0, "vae_rows": 0, "text_rows": 0})
    # A run that was killed between a cell's last batch and its record left that to us.
    for planned in plan.cells:
        if planned.in_store:
            driver.finish(planned.cell)
        elif planned.cell.misfit is not None:
            driver.fail([planned.cell], planned.cell.misfit)
    if plan.groups or driver.untimed:
        driver.run(outcome)
    outcome.records = {p.cell.cell_id: driver.finish(p.cell) for p in plan.cells}
    return outcome


class _Driver:
    """The state of one run."""

    def __init__(
        self, plan: Plan, worker: Worker, context: SweepContext, progress: Progress
    ) -> None:
        self.plan, self.worker, self.context, self.progress = plan, worker, context, progress
        self.failed: dict[str, str] = {}
        self.records: dict[str, Record] = {}
        self.told: set[str] = set()
        self.interrupts = Interrupts()
        # Reuse keys in our hands, and what another sweep on this store has in its own.
        self.claimed: set[str] = set()
        self.put_off: list[Group] = []
        store = context.store
        # By cell: batches that are not yet on disk. Counted down on the commit thread only.
        self.missing = {p.cell.cell_id: len(p.missing) for p in plan.cells}
        self.untimed = [
            planned.cell
            for planned in plan.cells
            if context.timing
            and all(
                timing.rule != context.timing
                for timing in store.timings(context.record_id(planned.cell))
            )
        ]

    def run(self, outcome: SweepOutcome) -> None:
        """All groups, then the timing lane of cells whose images were there already."""
        context = self.context
        about = {"keys": context.fingerprint.keys}
        began = time.perf_counter()
        try:
            with self.interrupts, Committer(context.store, about) as committer:
                self._run_groups(committer, outcome)
        except KeyboardInterrupt:
            raise IncompleteError(
                "interrupted: what is committed stays; run the same command again to resume"
            ) from None
        finally:
            for key in list(self.claimed):
                self._release(key)
        outcome.load_s = self.worker.load_s
        outcome.wall_s = time.perf_counter() - began - outcome.timing_s - outcome.load_s
        if self.plan.groups and len(self.failed) < len(self.plan.cells):
            outcome.work = as_plain(self.worker.work)

    def _run_groups(self, committer: Committer, outcome: SweepOutcome) -> None:
        images = sum(len(group.layout.seeds) * len(group.jobs) for group in self.plan.groups)
        self.progress.begin(images)
        resident: Any = None
        for group in self.plan.groups:
            here = _weights_key(group.jobs[0].batch)
            if resident is not None and here != resident:
                committer.drain()
                self._time_resident(resident, outcome)
            resident = here
            self._run_group(group, committer)
        self._run_put_off(committer)
        self._time_resident(None, outcome)

    def _run_group(self, group: Group, committer: Committer) -> None:
        if self.worker.share == "batched":
            # Drawn in common passes: all must be in hand before the first one.
            jobs: Iterable[Job] = list(self._claim_jobs(group, committer))
            self.worker.new_group([(job.batch, job.cells[0].negative_prompt) for job in jobs])
        else:
            jobs = self._claim_jobs(group, committer)
            self.worker.new_group()
        for job in jobs:
            if self._is_given_up(job):
                self._release(self.context.reuse_key(job.batch))
            else:
                self._run_job(group, job, committer)

    def _claim_jobs(self, group: Group, committer: Committer) -> Iterator[Job]:
        """Yield jobs as they are locked; those that another sweep holds are deferred."""
        theirs = []
        for job in group.jobs:
            if self._is_given_up(job):
                continue
            key = self.context.reuse_key(job.batch)
            if not self._claim(key):
                theirs.append(job)
            elif self.context.store.holds(self.context.stored_key(job.batch)):
                # Another sweep was quicker. Counted where all commits are: on the thread.
                committer.call(partial(self._committed, job, key, len(job.batch.layout.seeds)))
            else:
                yield job
        if theirs:
            self.put_off.append(Group(group.layout, tuple(theirs)))

    def _run_put_off(self, committer: Committer) -> None:
        """Run the jobs that another process held; it has committed them or released its locks.

        No lock is held while waiting, so that two sweeps never wait for each other.
        """
        committer.drain()
        while self.put_off:
            groups, self.put_off = self.put_off, []
            self._note("waiting for batches that another sweep on this store is drawing")
            with self.interrupts.allowed():
                self._claim(self.context.reuse_key(groups[0].jobs[0].batch), wait=True)
            for group in groups:
                self._run_group(group, committer)
            committer.drain()

    def _claim(self, key: str, wait: bool = False) -> bool:
        is_ours = self.context.store.claim(key, wait)
        if is_ours:
            self.claimed.add(key)
        return is_ours

    def _release(self, key: str) -> None:
        self.context.store.release(key)
        self.claimed.discard(key)

    def _is_given_up(self, job: Job) -> bool:
        """All of its cells have failed: nobody needs it any more."""
        return all(cell.cell_id in self.failed for cell in job.cells)

    def _run_job(self, group: Group, job: Job, committer: Committer) -> None:
        """Run a claimed batch; the claim ends with its commit."""
        key = self.context.reuse_key(job.batch)
        try:
            with self.interrupts.allowed():
                self.worker.prepare(job.batch.recipe)
                negative = job.cells[0].negative_prompt
                self._tell_cut_prompts([*group.layout.prompts, *([negative] if negative else [])])
                with self.worker.image_lane(), self.worker.kept_stages() as stages:
                    pixels = self.worker.run(job.batch, negative)
        except CELL_FAILURES as error:
            self._release(key)
            self.fail(job.cells, " ".join(str(error).split())[:500] or type(error).__name__)
            return
        done = partial(self._committed, job, key, len(pixels))
        notes, exactness = self.worker.notes, self.context.exactness
        if self.worker.is_split:
            exactness = Exactness.SPLIT
        for text in notes:
            self._note(f"warning: {text}")
        made = self.context.reuse_key(job.batch, exactness)
        names = self.context.names(job.cells[0])
        committer.submit(job.batch, made, exactness, pixels, stages, notes, names, done)

    def _committed(self, job: Job, key: str, images: int) -> None:
        """A batch is on disk: a cell's record follows its last one."""
        self._release(key)
        for cell in job.cells:
            self.missing[cell.cell_id] -= 1
            if self.missing[cell.cell_id] == 0 and cell.cell_id not in self.failed:
                self.finish(cell)
        self.progress.advance(images)
        self.context.on_batch()

    def _note(self, text: str) -> None:
        """Report a message only the first time it occurs."""
        if text not in self.told:
            self.told.add(text)
            self.progress.note(text)

    def _tell_cut_prompts(self, prompts: Sequence[str]) -> None:
        for prompt, lost in self.worker.cut_prompts(prompts).items():
            self.progress.note(
                f"warning: prompt {prompt[:40]!r} is longer than the tokenizer's window; "
                f"cut: {lost!r}"
            )

    def fail(self, cells: Iterable[Cell], text: str) -> None:
        """Give cells up, with the line that says why; their records say it too."""
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
            # Of a cell that waits for another sweep, there is no record yet to time beside.
            if cell.cell_id in self.failed or self.missing[cell.cell_id]:
                continue
            if resident is None or _weights_key(cell.batches[0]) == resident:
                with self.interrupts.allowed(), self.context.quiet():
                    self._time_cell(cell)
                self.untimed.remove(cell)
        outcome.timing_s += time.perf_counter() - began - (self.worker.load_s - loaded)

    def _time_cell(self, cell: Cell) -> None:
        assert self.context.timing is not None
        try:
            self.worker.prepare(cell.recipe)
            timing = self.worker.time_cell(cell, self.context.timing, self.context.fingerprint)
        except CELL_FAILURES as error:
            self.progress.note(f"timing failed: {error}")
            return
        self.context.store.write_timing(self.context.record_id(cell), timing)

    def finish(self, cell: Cell) -> Record:
        """The cell's record: read where there is one, else written now."""
        if cell.cell_id not in self.records:
            context = self.context
            old = context.store.read_record(context.record_id(cell))
            # Done once, its batch taken out since, and failed now: the record on disk stays.
            if old is None or old.status == CellStatus.FAILED or cell.cell_id in self.failed:
                old = self._record(cell)
                context.store.write_record(old)
            self.records[cell.cell_id] = old
            context.on_record(cell, old)
        return self.records[cell.cell_id]

    def _record(self, cell: Cell) -> Record:
        context = self.context
        error = self.failed.get(cell.cell_id)
        assert error or not self.missing[cell.cell_id]
        notes = [] if error else context.notes_of(cell)
        return Record(
            record_id=context.record_id(cell),
            cell_id=cell.cell_id,
            status=CellStatus.FAILED if error else CellStatus.DONE,
            error=error,
            exactness=context.exactness_of(cell),
            recipe=as_plain(cell.recipe),
            parameters=parameters(cell),
            batches=tuple(context.stored_key(batch) for batch in cell.batches),
            fingerprint=context.fingerprint,
            provenance={**context.provenance(cell), **({"notes": notes} if notes else {})},
        )


def parameters(cell: Cell) -> dict[str, Any]:
    """A cell's config keys as a person would write them."""
    from turbo_lab.request.recipe import format_lora

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
        "vae": request.vae,
        "quantization": request.quantization,
        "compile": request.compile,
        "num_images": cell.num_images,
    }


def _weights_key(batch: Batch) -> tuple[Any, ...]:
    recipe = batch.recipe
    return (recipe.model, recipe.dtype, recipe.variant, recipe.lora)
