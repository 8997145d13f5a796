"""Ids are functions of values; the disk is never asked."""

from __future__ import annotations

import dataclasses

import pytest

from turbo_lab import config
from turbo_lab.planning.cell_keys import CellKeys
from turbo_lab.planning.resolved_sweep import ResolvedSweep, resolve_points
from turbo_lab.store.record import Exactness
from turbo_lab.store.store import record_id, reuse_key


@pytest.fixture(scope="module")
def sweep() -> ResolvedSweep:
    return resolve_points(config.compose("plan", ["prompts=scenes-demo", "num_images=4"]))


def test_a_sweep_that_may_not_split_has_one_key_per_batch_and_record(sweep: ResolvedSweep) -> None:
    keys, cell = sweep.keys, sweep.cells[0]
    batch, environment = cell.batches[0], sweep.fingerprint.keys
    assert keys.reuse_keys(batch) == (keys.reuse_key(batch),)
    assert keys.reuse_key(batch) == reuse_key(batch.batch_id, environment, Exactness.EXACT)
    assert keys.record_ids(cell) == (keys.record_id(cell),)
    assert keys.record_id(cell) == record_id(cell.cell_id, environment, Exactness.EXACT)


def test_one_that_may_split_prefers_what_is_drawn_whole(sweep: ResolvedSweep) -> None:
    cell = sweep.cells[0]
    batch = cell.batches[0]
    keys = dataclasses.replace(sweep.keys, may_split=True)
    assert keys.reuse_keys(batch) == (keys.reuse_key(batch), keys.reuse_key(batch, is_split=True))
    assert keys.record_ids(cell) == (keys.record_id(cell), keys.record_id(cell, is_split=True))
    assert len({*keys.reuse_keys(batch), *keys.record_ids(cell)}) == 4
    assert keys.reuse_key(batch) == sweep.keys.reuse_key(batch)


def test_ids_differ_by_environment_and_exactness(sweep: ResolvedSweep) -> None:
    cell = sweep.cells[0]
    exact = CellKeys({"torch": "1"}, Exactness.EXACT, may_split=False)
    batched = CellKeys({"torch": "1"}, Exactness.BATCHED, may_split=False)
    later = CellKeys({"torch": "2"}, Exactness.EXACT, may_split=False)
    assert len({keys.record_id(cell) for keys in (exact, batched, later)}) == 3
    assert len({keys.reuse_key(cell.batches[0]) for keys in (exact, batched, later)}) == 3
