"""Harmless changes, which may move bits and must not raise an alarm.

Owns the list of what may differ between two correct runs of one case; ``docs/goldens.md`` shows
how far each entry moves a case. Each entry runs the case under its change and returns the
observation.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from turbo_lab.documents.golden import Tier
from turbo_lab.golden.observation import Observation
from turbo_lab.golden.run_case import Case, CaseRunner, case_threads
from turbo_lab.golden.stages import StageValue
from turbo_lab.request.recipe import Batch, Layout
from turbo_lab.runtime.seams import Seams

Run = Callable[[CaseRunner, Case], Observation]


@dataclass(frozen=True)
class Harmless:
    """One harmless change, and the tier that must tolerate it."""

    name: str
    """Name in the table."""
    tier: Tier
    """Tier at which the change must raise no alarm."""
    run: Run
    """Function that runs a case under the change."""


def _again(runner: CaseRunner, case: Case) -> Observation:
    return runner.run(case)


def _fresh_process(runner: CaseRunner, case: Case) -> Observation:
    return runner.run_fresh(case)


def _after_other_work(runner: CaseRunner, case: Case) -> Observation:
    """Draw another size, other prompts, no adapters and no source images first.

    They must leave nothing behind.
    """
    recipe = dataclasses.replace(case.batch.recipe, width=128, height=128, lora=(), strength=None)
    layout = Layout(("a bell on a red background",) * 2, (1, 2))
    other = dataclasses.replace(case.cell, recipe=recipe, batches=(Batch(recipe, layout),))
    runner.run(dataclasses.replace(case, cell=other))
    return runner.run(case)


def _threads(runner: CaseRunner, case: Case) -> Observation:
    """Run on one thread if the golden had more, on two if it had one."""
    return runner.run(case, num_threads=2 if case_threads(case) == 1 else 1)


def _sdpa_math(runner: CaseRunner, case: Case) -> Observation:
    from torch.nn.attention import SDPBackend

    return runner.run(case, seams=Seams(sdpa_backends=(SDPBackend.MATH,)))


def _channels_last(runner: CaseRunner, case: Case) -> Observation:
    with _memory_format(runner, case):
        return runner.run(case)


@contextmanager
def _memory_format(runner: CaseRunner, case: Case) -> Iterator[None]:
    import torch

    runner.resident.prepare(case.cell.recipe)
    parts = (runner.resident.pipeline.unet, runner.resident.pipeline.vae)
    for part in parts:
        part.to(memory_format=torch.channels_last)
    try:
        yield
    finally:
        for part in parts:
            part.to(memory_format=torch.contiguous_format)


def _in_a_batch(position: int, size: int) -> Run:
    """Put the case's rows into a larger batch with other rows."""

    def run(runner: CaseRunner, case: Case) -> Observation:
        own = case.batch.layout
        others = size - len(own.seeds)
        if others <= 0:
            return _alone(runner, case)
        before = min(position, others)
        prompts = ["a bell on a red background"] * others
        seeds = [1000 + i for i in range(others)]
        sources = own.sources[:1] * others
        layout = Layout(
            (*prompts[:before], *own.prompts, *prompts[before:]),
            (*seeds[:before], *own.seeds, *seeds[before:]),
            (*sources[:before], *own.sources, *sources[before:]),
        )
        seen = runner.run(with_layout(case, layout))
        rows = slice(before, before + len(own.seeds))
        return own_rows(seen, case, rows, size)

    return run


def _alone(runner: CaseRunner, case: Case) -> Observation:
    """Draw each row of the case as a batch of one, and join the rows again."""
    own = case.batch.layout
    parts = [
        runner.run(with_layout(case, own.part(slice(row, row + 1))))
        for row in range(len(own.seeds))
    ]
    stages = tuple(
        _joined([part.stages[index] for part in parts]) for index in range(len(parts[0].stages))
    )
    return dataclasses.replace(parts[0], cell_id=case.cell.cell_id, stages=stages)


def _joined(values: list[StageValue]) -> StageValue:
    """Join the rows of single runs in the order of one batch: all negative ones first."""
    import numpy as np

    halves = [np.split(value.values, len(value.values)) for value in values]
    ordered = [row[half] for half in range(len(halves[0])) for row in halves]
    return dataclasses.replace(values[0], values=np.concatenate(ordered))


def with_layout(case: Case, layout: Layout) -> Case:
    """Return the case with other rows."""
    batch = Batch(case.batch.recipe, layout)
    return dataclasses.replace(case, cell=dataclasses.replace(case.cell, batches=(batch,)))


def own_rows(seen: Observation, case: Case, rows: slice, size: int) -> Observation:
    """Keep the case's own rows of every stage; a guided stage has all of them twice."""

    def own(value: StageValue) -> StageValue:
        values: Any = value.values
        folds = values.shape[0] // size
        split = values.reshape(folds, size, *values.shape[1:])[:, rows]
        return dataclasses.replace(value, values=split.reshape(-1, *values.shape[1:]).copy())

    return dataclasses.replace(
        seen, cell_id=case.cell.cell_id, stages=tuple(own(value) for value in seen.stages)
    )


HARMLESS: tuple[Harmless, ...] = (
    Harmless("run again", "T0", _again),
    Harmless("after other work", "T0", _after_other_work),
    Harmless("a fresh process", "T0", _fresh_process),
    Harmless("another thread count", "T1", _threads),
    Harmless("SDPA by plain math", "T1", _sdpa_math),
    Harmless("channels_last", "T1", _channels_last),
    Harmless("first in a batch of 3", "T1", _in_a_batch(0, 3)),
    Harmless("last in a batch of 8", "T1", _in_a_batch(7, 8)),
)
