"""The driver of a sweep: plan in, committed batches, records and timings out.

Owns the order of events: batches group by group, the timing lane while a model is still resident,
and a record when a cell's last batch is on disk. A cell that fails is recorded and the other
cells go on. Committed work stays, so that the same command resumes.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from turbo_lab.errors import IncompleteError, TurboLabError
from turbo_lab.execute.committer import Committer
from turbo_lab.execute.context import DrawingTime, Progress, SweepContext, SweepOutcome
from turbo_lab.execute.interrupt import Interrupts
from turbo_lab.execute.worker import Worker
from turbo_lab.identity import as_plain
from turbo_lab.planning.plan import Plan
from turbo_lab.planning.work import Group, Job, WorkDone
from turbo_lab.progress import track
from turbo_lab.request.parameters import Parameters
from turbo_lab.request.recipe import Batch, Cell
from turbo_lab.runtime.failures import reason
from turbo_lab.store.encode import DrawnBatch
from turbo_lab.store.record import CellStatus, Exactness, Record

_NOT_DRAWN = "not drawn, because another cell failed (fail_fast=true)"


def run_plan(plan: Plan, worker: Worker, context: SweepContext, progress: Progress) -> SweepOutcome:
    """Run what the store lacks and write a record for every cell.

    Raises :class:`IncompleteError` on Ctrl-C once every batch in flight is on disk.
    """
    driver = _Driver(plan, worker, context, progress)
    outcome = SweepOutcome(work=as_plain(WorkDone()))
    # A run may have been killed between a cell's last batch and its record.
    for planned in plan.cells:
        if planned.in_store:
            driver.finish(planned.cell)
        elif planned.cell.misfit is not None:
            driver.fail([planned.cell], planned.cell.misfit)
    driver.stop_early()
    if plan.groups or driver.untimed:
        context.store.check_writable()
        driver.run(outcome)
    outcome.records = {p.cell.cell_id: driver.finish(p.cell) for p in plan.cells}
    outcome.bug = driver.bug
    outcome.drawn = context.drawn
    return outcome


class _Driver:
    """The state of one run."""

    def __init__(
        self, plan: Plan, worker: Worker, context: SweepContext, progress: Progress
    ) -> None:
        self.plan, self.worker, self.context, self.progress = plan, worker, context, progress
        self.failed: dict[str, str] = {}
        self.records: dict[str, Record] = {}
        self.bug: Exception | None = None
        # Text that the tokenizers cut, by prompt.
        self.cut: dict[str, str] = {}
        self.noted: set[str] = set()
        self.interrupts = Interrupts()
        # Reuse keys that this process has locked, and jobs that another process has locked.
        self.locked: set[str] = set()
        self.put_off: list[Group] = []
        # By cell: batches that are not yet on disk. Counted down on the commit thread only.
        self.missing = {p.cell.cell_id: len(p.missing) for p in plan.cells}
        # Finished cells without a timing under the sweep's rule.
        self.untimed: list[Cell] = []

    def run(self, outcome: SweepOutcome) -> None:
        """Run all groups, then the timing lane of cells whose images were there already."""
        context = self.context
        began = time.perf_counter()
        try:
            with self.interrupts, Committer(context.store) as committer:
                self._run_groups(committer, outcome)
        except KeyboardInterrupt:
            raise IncompleteError(
                "interrupted: committed work is kept; run the same command again to resume"
            ) from None
        finally:
            for key in list(self.locked):
                self._release(key)
        outcome.load_s = self.worker.resident.load_s
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
            # Drawn in common passes: all must be locked before the first one.
            jobs: Iterable[Job] = list(self._lock_jobs(group, committer))
            self.worker.new_group([(job.batch, job.cells[0].negative_prompt) for job in jobs])
        else:
            jobs = self._lock_jobs(group, committer)
            self.worker.new_group()
        for job in jobs:
            if self._is_given_up(job):
                self._release(self.context.keys.reuse_key(job.batch))
            else:
                self._run_job(group, job, committer)

    def _lock_jobs(self, group: Group, committer: Committer) -> Iterator[Job]:
        """Yield jobs as they are locked; those that another sweep holds are deferred."""
        theirs = []
        for job in group.jobs:
            if self._is_given_up(job):
                continue
            key = self.context.keys.reuse_key(job.batch)
            if not self._lock(key):
                theirs.append(job)
            elif self._stored_key(job.batch) is not None:
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
                self._lock(self.context.keys.reuse_key(groups[0].jobs[0].batch), wait=True)
            for group in groups:
                self._run_group(group, committer)
            committer.drain()

    def _lock(self, key: str, wait: bool = False) -> bool:
        is_ours = self.context.store.lock(key, wait)
        if is_ours:
            self.locked.add(key)
        return is_ours

    def _release(self, key: str) -> None:
        self.context.store.release(key)
        self.locked.discard(key)

    def _is_given_up(self, job: Job) -> bool:
        """Return whether all cells of a job have failed, so that no cell needs it."""
        return all(cell.cell_id in self.failed for cell in job.cells)

    def _run_job(self, group: Group, job: Job, committer: Committer) -> None:
        """Run a locked batch; its lock ends with its commit."""
        keys = self.context.keys
        key = keys.reuse_key(job.batch)
        stages: dict[str, Any] = {}

        def keep(stage: str, tensor: Any) -> Any:
            stages[stage] = tensor
            return tensor

        try:
            with self.interrupts.allowed():
                self.worker.prepare(job.batch.recipe)
                negative = job.cells[0].negative_prompt
                cut = self._cut_prompts([*group.layout.prompts, *([negative] if negative else [])])
                began_at, began = time.time(), time.perf_counter()
                drawn = self.worker.run(job.batch, negative, keep)
                self._count_time(job, DrawingTime(began_at, time.perf_counter() - began))
        except Exception as error:  # noqa: BLE001  (one cell must not take the others along)
            self._release(key)
            self.fail(job.cells, self._reason(error))
            committer.drain()  # what has been drawn is kept
            self.stop_early()
            return
        if drawn.split:
            stages.clear()  # of an attempt that failed, and of parts
        notes = (*cut, *drawn.notes)
        for text in notes:
            self._note(f"warning: {text}")
        origin = self.context.origins[job.cells[0].cell_id]
        batch = DrawnBatch(
            batch=job.batch,
            exactness=Exactness.SPLIT if drawn.split else keys.exactness,
            keys=self.context.fingerprint.keys,
            pixels=drawn.pixels,
            stages=stages,
            notes=(*notes, *drawn.library_warnings),
            adapter_changes=self.worker.resident.adapter_changes or None,
            negative_prompt=negative,
            names=origin.names,
            source_names=origin.source_names,
            hashes=origin.hashes,
        )
        committer.submit(batch, partial(self._committed, job, key, len(drawn.pixels)))

    def _count_time(self, job: Job, taken: DrawingTime) -> None:
        """Add the time of a batch to its cells, of which it is often the only one."""
        for cell in job.cells:
            before = self.context.drawn.get(cell.cell_id, DrawingTime(taken.began_at, 0.0))
            whole = DrawingTime(before.began_at, before.duration_s + taken.duration_s)
            self.context.drawn[cell.cell_id] = whole

    def _committed(self, job: Job, key: str, images: int) -> None:
        """Count a committed batch; a cell's record is written after its last one."""
        self._release(key)
        for cell in job.cells:
            self.missing[cell.cell_id] -= 1
            if self.missing[cell.cell_id] == 0 and cell.cell_id not in self.failed:
                self.finish(cell)
        self.progress.advance(images)
        self.context.hooks.on_batch()

    def _note(self, text: str) -> None:
        """Report a message only the first time it occurs."""
        if text not in self.noted:
            self.noted.add(text)
            self.progress.note(text)

    def _cut_prompts(self, prompts: Sequence[str]) -> list[str]:
        """Return a note for each prompt that the tokenizers cut."""
        self.cut |= self.worker.resident.cut_prompts(prompts)
        return [
            f"prompt {prompt[:40]!r} is longer than the tokenizer's window; "
            f"cut: {self.cut[prompt]!r}"
            for prompt in dict.fromkeys(prompts)
            if prompt in self.cut
        ]

    def _reason(self, error: Exception) -> str:
        """Return an error in one line; the first bug in turbo-lab is kept for the end."""
        if isinstance(error, TurboLabError):
            return reason(error)
        self.bug = self.bug or error
        return f"a bug in turbo-lab: {reason(error)}"

    def fail(self, cells: Iterable[Cell], text: str) -> None:
        """Mark cells as failed with a one-line reason, which their records repeat."""
        for cell in cells:
            self.failed[cell.cell_id] = text
            axes = " ".join(f"{k}={v}" for k, v in cell.axes) or "the cell"
            self.progress.note(f"{axes} failed: {text}")

    def stop_early(self) -> None:
        """With ``fail_fast``, mark every cell that is not finished as failed once one has."""
        if not (self.context.fail_fast and self.failed):
            return
        left = [p.cell.cell_id for p in self.plan.cells if self.missing[p.cell.cell_id]]
        new = dict.fromkeys((c for c in left if c not in self.failed), _NOT_DRAWN)
        if new:
            self.failed |= new
            self._note(f"fail_fast=true: {len(new)} more cells are not drawn")

    def _time_resident(self, resident: Any, outcome: SweepOutcome) -> None:
        """Time the cells whose weights are resident; all that are left if ``None``."""
        if self.context.timing is None:
            return
        began, loaded = time.perf_counter(), self.worker.resident.load_s
        due = [c for c in self.untimed if resident in (None, _weights_key(c.batches[0]))]
        for cell in track(due, "cells timed"):
            with self.interrupts.allowed(), self.context.hooks.quiet():
                self._time_cell(cell)
            self.untimed.remove(cell)
        outcome.timing_s += time.perf_counter() - began - (self.worker.resident.load_s - loaded)

    def _time_cell(self, cell: Cell) -> None:
        assert self.context.timing is not None
        try:
            self.worker.prepare(cell.recipe)
            timing = self.worker.time_cell(cell, self.context.timing, self.context.fingerprint)
        except Exception as error:  # noqa: BLE001  (as above)
            self.progress.note(f"timing failed: {self._reason(error)}")
            return
        self.context.store.write_timing(self.records[cell.cell_id].record_id, timing)

    def _stored_key(self, batch: Batch) -> str | None:
        """Return the key under which a batch is on disk; ``None`` if it is not."""
        return next(filter(self.context.store.holds, self.context.keys.reuse_keys(batch)), None)

    def finish(self, cell: Cell) -> Record:
        """Return the cell's record; it is written now unless the store has it.

        The batches on disk decide here, once, whether the record is ``split``.
        """
        if cell.cell_id not in self.records:
            store, keys = self.context.store, self.context.keys
            batches = self._batch_keys(cell)
            is_split = batches != tuple(keys.reuse_key(batch) for batch in cell.batches)
            record = store.read_record(keys.record_id(cell, is_split))
            # A cell that was done, lost a batch and failed now keeps the record on disk.
            if record is None or record.status == CellStatus.FAILED or cell.cell_id in self.failed:
                record = self._record(cell, batches, is_split)
                store.write_record(record)
            self.records[cell.cell_id] = record
            if self._lacks_timing(record):
                self.untimed.append(cell)
            self.context.hooks.on_record(cell, record)
        return self.records[cell.cell_id]

    def _batch_keys(self, cell: Cell) -> tuple[str, ...]:
        """Return the keys of a cell's batches; one that is drawn in parts has another."""
        keys = self.context.keys
        if not keys.may_split:
            return tuple(keys.reuse_key(batch) for batch in cell.batches)
        return tuple(self._stored_key(batch) or keys.reuse_key(batch) for batch in cell.batches)

    def _lacks_timing(self, record: Record) -> bool:
        rule = self.context.timing
        return (
            rule is not None
            and record.status == CellStatus.DONE
            and all(found.rule != rule for found in self.context.store.timings(record.record_id))
        )

    def _record(self, cell: Cell, batches: tuple[str, ...], is_split: bool) -> Record:
        """Return the record of a cell whose batches are all on disk, or that failed."""
        context = self.context
        error = self.failed.get(cell.cell_id)
        assert error or not self.missing[cell.cell_id]
        stored = () if error else tuple(map(context.store.read_batch, batches))
        drawn = (note for batch in stored for note in batch.notes)
        notes = tuple(dict.fromkeys((*cell.notes, *drawn)))
        origin = context.origins[cell.cell_id].provenance
        return Record(
            record_id=context.keys.record_id(cell, is_split),
            cell_id=cell.cell_id,
            status=CellStatus.FAILED if error else CellStatus.DONE,
            error=error,
            exactness=Exactness.SPLIT if is_split else context.keys.exactness,
            recipe=cell.recipe,
            parameters=Parameters.of(cell),
            batches=batches,
            fingerprint=context.fingerprint,
            provenance=replace(origin, notes=notes or None),
            adapter_changes=stored[0].adapter_changes if stored else None,
        )


def _weights_key(batch: Batch) -> tuple[Any, ...]:
    recipe = batch.recipe
    return (recipe.model, recipe.dtype, recipe.variant, recipe.lora)
