"""A grid, resolved and planned: all that is known before torch is imported.

Owns the ``plan`` document and nothing heavy: `turbo-lab plan` has to start at
once, so that neither images nor execution are imported here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turbo_lab import environment
from turbo_lab.documents.plan import PlanCell, PlanResult, PlanWork, RowsPlanned
from turbo_lab.environment import Fingerprint
from turbo_lab.errors import InputError
from turbo_lab.identity import digest
from turbo_lab.planning.cell_keys import CellKeys
from turbo_lab.planning.forecast import forecast
from turbo_lab.planning.options import NOT_TRACKED, RunOptions, TimingRuleName
from turbo_lab.planning.plan import Plan, PlannedCell, WorkCount, make_plan, start_of
from turbo_lab.planning.scheduler_table import NUM_TRAIN_TIMESTEPS
from turbo_lab.request.recipe import Batch, Cell
from turbo_lab.request.request import Request
from turbo_lab.request.resolve import Library, resolve, resolve_request
from turbo_lab.store.layout import StoreLayout
from turbo_lab.store.record import Exactness
from turbo_lab.store.store import Store

if TYPE_CHECKING:
    from turbo_lab.config import GridPoint

# Below this share of the training timesteps a start is far from pure noise: SDXL base with 30
# "leading" steps starts at 0.958, with 4 at 0.751, with one at 0.001.
_LOWEST_START = 0.9


@dataclass(frozen=True)
class ResolvedSweep:
    """A grid, resolved: everything that can be known before torch is imported."""

    options: RunOptions
    """How it runs; equal for all cells."""
    cells: tuple[Cell, ...]
    """One per point."""
    library: Library
    """Files of the cells' models, adapters and prompts."""
    fingerprint: Fingerprint
    """Environment that made it."""

    @property
    def device(self) -> str:
        """``cpu`` or ``cuda``."""
        return self.options.device

    @property
    def exactness(self) -> Exactness:
        """Part of the reuse key: rows lose bits only if they share their passes."""
        return Exactness.BATCHED if self.options.share == "batched" else Exactness.EXACT

    @property
    def keys(self) -> CellKeys:
        """Ids of the sweep's batches and records."""
        return CellKeys(self.fingerprint.keys, self.exactness, self.options.may_split)

    @property
    def sweep_id(self) -> str:
        """Id by content: the same grid gives the same sweep."""
        ids = [cell.cell_id for cell in self.cells]
        return digest({"cells": ids, "keys": self.fingerprint.keys})[:16]


def resolve_points(points: Sequence[GridPoint]) -> ResolvedSweep:
    """Resolve all cells of a grid. Raises ``InputError`` for the first that is wrong.

    A cell whose adapter does not fit its model is wrong only if no other cell is left.
    """
    _check_axes(points)
    options = RunOptions.from_config(points[0].values)
    library = Library()
    cells = tuple(resolve(point.values, point.axes, library) for point in points)
    if cells[0].misfit is not None and all(cell.misfit is not None for cell in cells):
        raise InputError(cells[0].misfit)
    fingerprint = environment.fingerprint(device=options.device, num_threads=options.num_threads)
    return ResolvedSweep(options, cells, library, fingerprint)


def measuring(
    sweep: ResolvedSweep, metrics: Sequence[str] = (), timing: TimingRuleName | None = None
) -> ResolvedSweep:
    """Return the sweep with other metrics and another timing rule, and without tracking."""
    measured = replace(sweep.options.metrics, names=tuple(metrics))
    options = replace(sweep.options, timing=timing, metrics=measured, tracking=NOT_TRACKED)
    return replace(sweep, options=options)


def with_store(sweep: ResolvedSweep, store: Path) -> ResolvedSweep:
    """Return the sweep with another folder of results."""
    return replace(sweep, options=replace(sweep.options, store=store))


def vary(sweep: ResolvedSweep, change: Callable[[Request], Request]) -> ResolvedSweep:
    """Return the sweep with every cell's request changed: same models and prompt sets.

    ``change`` gets a valid request and must return one. Files of adapters that it
    names are added to the library, which both sweeps share.
    """
    library = sweep.library

    def resolved(cell: Cell) -> Cell:
        model = library.cards[cell.request.model, cell.recipe.model]
        prompts = library.prompt_sets[cell.prompt_set]
        return resolve_request(change(cell.request), model, prompts, cell.axes, library)

    return replace(sweep, cells=tuple(resolved(cell) for cell in sweep.cells))


def _check_axes(points: Sequence[GridPoint]) -> None:
    """Refuse to sweep what is read once for all cells: a second value would be dropped."""
    from turbo_lab.config import AXES, MORE_AXES

    for key, _ in points[0].axes:
        if key.split(".")[0] not in (*AXES, *MORE_AXES):
            values = list(dict.fromkeys(str(dict(point.axes)[key]) for point in points))
            if len(values) > 1:
                raise InputError(
                    f"{key}={','.join(values)}: {key} cannot be swept; run one sweep a value"
                )


def plan_sweep(sweep: ResolvedSweep, store: Store | None) -> Plan:
    """Plan what a store lacks; ``None`` stands for an empty one."""
    keys = sweep.keys

    def is_done(batch: Batch) -> bool:
        return store is not None and any(map(store.has_batch, keys.reuse_keys(batch)))

    return make_plan(sweep.cells, is_done, sweep.options.share)


def plan_result(sweep: ResolvedSweep) -> PlanResult:
    """Plan a sweep and write nothing: a store that does not exist is empty."""
    root = sweep.options.store
    store = Store(root) if StoreLayout(root).exists else None
    plan = plan_sweep(sweep, store)
    expected = forecast(plan, store, sweep.fingerprint.keys, sweep.options.share)
    misfits = dict.fromkeys(cell.misfit for cell in sweep.cells if cell.misfit is not None)
    warnings = [*start_warnings(sweep.cells), *(f"will fail: {misfit}" for misfit in misfits)]
    return PlanResult(
        counts=plan.counts,
        work=PlanWork(
            unet_rows=_rows(plan.unet_rows),
            vae_rows=_rows(plan.vae_rows),
            text_rows=_rows(plan.text_rows),
        ),
        forecast=expected,
        cells=tuple(_plan_cell(planned) for planned in plan.cells),
        warnings=tuple(warnings),
    )


def _rows(count: WorkCount) -> RowsPlanned:
    return RowsPlanned(alone=count.alone, planned=count.planned)


def _plan_cell(planned: PlannedCell) -> PlanCell:
    return PlanCell(
        cell_id=planned.cell.cell_id,
        axes=dict(planned.cell.axes),
        aliases=tuple(dict(axes) for axes in planned.aliases),
        status="in_store" if planned.in_store else "to_run",
    )


def start_warnings(cells: Sequence[Cell]) -> list[str]:
    """What a few-step run that starts where little noise is left would not show until it is drawn.

    One line a scheduler.
    """
    starts: dict[str, dict[int, float]] = {}
    for recipe in dict.fromkeys(cell.recipe for cell in cells):
        start = start_of(recipe)
        if start is not None and start.timestep < _LOWEST_START * NUM_TRAIN_TIMESTEPS:
            starts.setdefault(recipe.scheduler, {})[recipe.num_inference_steps] = start.timestep
    return [_start_warning(json.loads(name), found) for name, found in starts.items()]


def _start_warning(scheduler: Mapping[str, Any], starts: Mapping[int, float]) -> str:
    """``starts``: timestep by number of steps."""
    steps = ", ".join(str(n) for n in sorted(starts))
    times = ", ".join(f"{starts[n]:.0f}" for n in sorted(starts))
    spacing = scheduler.get("timestep_spacing", "linspace")
    return (
        f"num_inference_steps={steps}: {scheduler['_class_name']} with "
        f"timestep_spacing={spacing} starts at t={times} of {NUM_TRAIN_TIMESTEPS - 1}, where the "
        "model expects less noise than it gets; use more steps, or "
        'model.scheduler="{timestep_spacing:trailing}"'
    )
