"""Forecasts: expected time, memory and disk of a plan, from this store's earlier measurements.

Owns the step from stored timings and files to seconds and bytes. Refuses to invent a number:
if no measurement applies, the forecast is ``None``. Timings come from the timing lane (nothing
shared, no deterministic kernels), so that a forecast is an estimate and not a result to compare.
"""

from __future__ import annotations

import statistics
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from turbo_lab.documents.plan import Forecast
from turbo_lab.environment import Keys
from turbo_lab.planning.plan import Plan
from turbo_lab.planning.work import (
    Group,
    planned_rows,
    text_rows_per_image,
    unet_rows_per_image,
)
from turbo_lab.request.recipe import Recipe
from turbo_lab.store.record import Record, Timing
from turbo_lab.store.store import Store

# Enough for a mean. A forecast does not read through a store that took years to fill.
_MAX_SAMPLES = 400


@dataclass(frozen=True)
class _Cost:
    """Time and memory of one timed cell, per row."""

    kind: Hashable
    """Everything that the cost depends on: weights, number of adapters, size."""
    batch_size: int
    """Images per call."""
    unet_s: float
    """Time per row of a UNet call, in seconds."""
    vae_s: float
    """Time per decoded image, in seconds."""
    text_s: float
    """Time per encoded prompt, in seconds."""
    peak_memory_bytes: int
    """Peak memory of the process, or of the device if there is one, in bytes."""


def forecast(plan: Plan, store: Store | None, keys: Keys, share: str) -> Forecast:
    """Return the expected time, memory and disk of a plan.

    ``keys``: keys of this environment's fingerprint. Only timings under equal keys count.
    """
    if not plan.groups:
        return Forecast(wall_s=0.0, peak_memory_bytes=None, disk_bytes=0)
    if store is None:
        return Forecast(wall_s=None, peak_memory_bytes=None, disk_bytes=None)
    costs = list(_costs(store, keys))
    return Forecast(
        wall_s=_wall_s(plan, costs, share),
        peak_memory_bytes=_peak_memory_bytes(plan.groups, costs),
        disk_bytes=_disk_bytes(plan, store),
    )


def _costs(store: Store, keys: Keys) -> Iterator[_Cost]:
    for name in islice(store.layout.timed(), _MAX_SAMPLES):
        record = store.read_record(name)
        timings = [t for t in store.timings(name) if dict(t.fingerprint.keys) == keys]
        if record is not None and timings and timings[-1].stages_s is not None:
            yield _cost(record, timings[-1], timings[-1].stages_s)


def _cost(record: Record, timing: Timing, stages_s: Mapping[str, float]) -> _Cost:
    recipe, images = record.recipe, timing.batch_size
    return _Cost(
        kind=_kind(recipe),
        batch_size=images,
        unet_s=stages_s["unet"] / (unet_rows_per_image(recipe) * images),
        vae_s=stages_s["vae"] / images,
        text_s=stages_s["text"] / (text_rows_per_image(recipe) * images),
        peak_memory_bytes=timing.peak_memory_bytes,
    )


def _kind(recipe: Recipe) -> Hashable:
    size = recipe.width, recipe.height
    return recipe.model, recipe.dtype, recipe.variant, len(recipe.lora), *size


def _kind_of(group: Group) -> Hashable:
    return _kind(group.jobs[0].batch.recipe)


def _wall_s(plan: Plan, costs: Sequence[_Cost], share: str) -> float | None:
    """Return rows times the cost per row, as measured at the nearest batch size."""
    total, text_s = 0.0, 0.0
    for group in plan.groups:
        alike = [cost for cost in costs if cost.kind == _kind_of(group)]
        if not alike:
            return None
        rows = len(group.layout.seeds)
        nearest = min(abs(cost.batch_size - rows) for cost in alike)
        chosen = [cost for cost in alike if abs(cost.batch_size - rows) == nearest]
        left = planned_rows([group], share)
        total += left.unet_rows * statistics.median(cost.unet_s for cost in chosen)
        total += left.vae_rows * statistics.median(cost.vae_s for cost in chosen)
        text_s = max(text_s, statistics.median(cost.text_s for cost in chosen))
    return total + plan.text_rows.planned * text_s


def _peak_memory_bytes(groups: Sequence[Group], costs: Sequence[_Cost]) -> int | None:
    """Return the largest measured peak; ``None`` if a group is larger than every timed batch."""
    peak = 0
    for group in groups:
        alike = [cost for cost in costs if cost.kind == _kind_of(group)]
        at_least = [c for c in alike if c.batch_size >= len(group.layout.seeds)]
        if not at_least:
            return None
        smallest = min(cost.batch_size for cost in at_least)
        peak = max(peak, *(c.peak_memory_bytes for c in at_least if c.batch_size == smallest))
    return peak


def _disk_bytes(plan: Plan, store: Store) -> int | None:
    """Return images times their mean size at that resolution, with their share of documents."""
    sizes: dict[tuple[int, int], list[float]] = {}
    for folder in islice(store.layout.batches(), _MAX_SAMPLES):
        batch = store.read_batch(folder.name)
        held = sum(path.stat().st_size for path in folder.iterdir())
        size = (batch.recipe.width, batch.recipe.height)
        sizes.setdefault(size, []).append(held / len(batch.images))
    total = 0.0
    for group in plan.groups:
        recipe = group.jobs[0].batch.recipe
        known = sizes.get((recipe.width, recipe.height))
        if known is None:
            return None
        total += len(group.jobs) * len(group.layout.seeds) * statistics.fmean(known)
    return round(total)
