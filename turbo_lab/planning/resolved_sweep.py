"""A resolved grid and its plan: everything that is known before torch is imported.

Owns the ``plan`` document. Imports neither images nor execution, because ``turbo-lab plan``
has to start at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from turbo_lab import environment
from turbo_lab.documents.plan import PlanCell, PlanResult, PlanWork, RowsPlanned
from turbo_lab.environment import Fingerprint
from turbo_lab.errors import InputError, UnfitError
from turbo_lab.identity import digest
from turbo_lab.planning.cell_keys import CellKeys
from turbo_lab.planning.forecast import forecast
from turbo_lab.planning.options import NOT_TRACKED, RunOptions, TimingRuleName
from turbo_lab.planning.plan import Plan, PlannedCell, WorkCount, make_plan
from turbo_lab.planning.scheduler_table import (
    NUM_TRAIN_TIMESTEPS,
    SchedulerConfig,
    scheduler_config,
)
from turbo_lab.planning.work import start_of
from turbo_lab.progress import waiting
from turbo_lab.request.recipe import Batch, Cell
from turbo_lab.request.request import Request
from turbo_lab.request.resolve import Library, resolve, resolve_request
from turbo_lab.store.layout import StoreLayout
from turbo_lab.store.record import Exactness
from turbo_lab.store.store import Store

if TYPE_CHECKING:
    from turbo_lab.config import GridPoint

# A start below this share of the training timesteps is far from pure noise. With "leading"
# spacing, SDXL base starts at 0.958 with 30 steps, at 0.751 with 4 and at 0.001 with one.
_LOWEST_START = 0.9


@dataclass(frozen=True)
class ResolvedSweep:
    """The cells of a grid, with their files, options and environment."""

    options: RunOptions
    """Options, equal for all cells."""
    cells: tuple[Cell, ...]
    """One cell per grid point; equal points give equal cells."""
    library: Library
    """Files of the models, adapters, VAEs and prompts that the cells use."""
    fingerprint: Fingerprint
    """Environment in which the sweep runs."""

    @property
    def device(self) -> str:
        """Device of the sweep: ``cpu`` or ``cuda``."""
        return self.options.device

    @property
    def exactness(self) -> Exactness:
        """Exactness of a batch; rows differ from the stock pipeline's only if they share passes."""
        return Exactness.BATCHED if self.options.share == "batched" else Exactness.EXACT

    @property
    def keys(self) -> CellKeys:
        """Ids of the sweep's batches and records."""
        return CellKeys(self.fingerprint.keys, self.exactness, self.options.may_split)

    @property
    def sweep_id(self) -> str:
        """Id by content: equal grids in equal environments give equal ids."""
        ids = [cell.cell_id for cell in self.cells]
        return digest({"cells": ids, "keys": self.fingerprint.keys})[:16]


def resolve_points(points: Sequence[GridPoint], *, may_lack_weights: bool = False) -> ResolvedSweep:
    """Resolve all cells of a grid. Raises ``InputError`` for the first cell that is invalid.

    An adapter that does not fit its model is an error if that is so in every cell, or if it
    names layers that no model of the grid has. ``may_lack_weights``: plan with weights of the hub
    that are not on this machine; such a sweep cannot run.
    """
    _check_axes(points)
    if points[0].values.get("cells") is not None:
        raise InputError("cells: only sweep, plan, bench and compare take a selection")
    options = RunOptions.from_config(points[0].values)
    options.sheet.check([key for key, _ in points[0].axes])
    library = Library(is_for_plan=may_lack_weights)
    with waiting("resolving models and prompts"):  # hashes weights that are new here
        cells = tuple(resolve(point.values, point.axes, library, point.given) for point in points)
    if cells[0].misfit is not None and all(cell.misfit is not None for cell in cells):
        raise UnfitError(cells[0].misfit)
    library.refuse_unfit()
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
    """Return the sweep with every cell's request changed, for the same models and prompt sets.

    ``change`` gets a valid request and must return one. The files of new adapters are added to
    the library, which both sweeps share.
    """
    library = sweep.library

    def resolved(cell: Cell) -> Cell:
        model = library.cards[cell.request.model, cell.recipe.model]
        prompts = library.prompt_sets[cell.prompt_set]
        request = change(cell.request)
        found = resolve_request(request, model, prompts, axes=cell.axes, library=library)
        return replace(found, notes=tuple(dict.fromkeys((*cell.notes, *found.notes))))

    return replace(sweep, cells=tuple(resolved(cell) for cell in sweep.cells))


def _check_axes(points: Sequence[GridPoint]) -> None:
    """Refuse to sweep a key that is read once for all cells: a second value would be dropped."""
    from turbo_lab.config import AXES, MORE_AXES

    for key, _ in points[0].axes:
        if key.split(".")[0] not in (*AXES, *MORE_AXES):
            values = list(dict.fromkeys(str(dict(point.axes)[key]) for point in points))
            if len(values) > 1:
                raise InputError(
                    f"{key}={','.join(values)}: {key} cannot be swept; run one sweep per value"
                )


def plan_sweep(sweep: ResolvedSweep, store: Store | None) -> Plan:
    """Plan the batches that a store lacks; ``None`` is an empty store."""
    keys = sweep.keys

    def is_done(batch: Batch) -> bool:
        return store is not None and any(map(store.has_batch, keys.reuse_keys(batch)))

    return make_plan(sweep.cells, is_done, sweep.options.share)


def plan_result(sweep: ResolvedSweep) -> PlanResult:
    """Plan a sweep and write nothing; a store that does not exist counts as empty."""
    root = sweep.options.store
    store = Store.existing(root) if StoreLayout(root).exists else None
    plan = plan_sweep(sweep, store)
    expected = forecast(plan, store, sweep.fingerprint.keys, sweep.options.share)
    misfits = dict.fromkeys(cell.misfit for cell in sweep.cells if cell.misfit is not None)
    warnings = [
        *cell_notes(sweep.cells),
        *start_warnings(sweep.cells),
        *sweep.library.assumptions,
        *sweep.library.absent.values(),
        *(f"will fail: {misfit}" for misfit in misfits),
    ]
    return PlanResult(
        counts=plan.counts,
        work=PlanWork(
            unet_rows=_rows(plan.unet_rows),
            vae_rows=_rows(plan.vae_rows),
            text_rows=_rows(plan.text_rows),
            source_rows=_rows(plan.source_rows) if plan.source_rows.alone else None,
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


def cell_notes(cells: Iterable[Cell]) -> list[str]:
    """Return the notes of cells, each once."""
    return list(dict.fromkeys(note for cell in cells for note in cell.notes))


def start_warnings(cells: Sequence[Cell]) -> list[str]:
    """Return a warning per scheduler that starts a few-step run with too little noise.

    Without it, such a run would only show in its images. A run on a source image begins late on
    purpose.
    """
    starts: dict[str, dict[int, float]] = {}
    for recipe in dict.fromkeys(cell.recipe for cell in cells if cell.recipe.strength is None):
        start = start_of(recipe)
        if start is not None and start.timestep < _LOWEST_START * NUM_TRAIN_TIMESTEPS:
            starts.setdefault(recipe.scheduler, {})[recipe.num_inference_steps] = start.timestep
    return [_start_warning(scheduler_config(text), found) for text, found in starts.items()]


def _start_warning(scheduler: SchedulerConfig, starts: Mapping[int, float]) -> str:
    """Return the warning for a scheduler; ``starts``: first timestep by number of steps."""
    steps = ", ".join(str(n) for n in sorted(starts))
    times = ", ".join(f"{starts[n]:.0f}" for n in sorted(starts))
    return (
        f"num_inference_steps={steps}: {scheduler.class_name} with "
        f"timestep_spacing={scheduler.timestep_spacing} starts at t={times} of "
        f"{NUM_TRAIN_TIMESTEPS - 1}, where the model expects less noise than it gets; use more "
        'steps, or model.scheduler="{timestep_spacing:trailing}"'
    )
