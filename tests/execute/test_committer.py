"""Commits on a thread of their own: in order, once, and their errors are not lost."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from tests.recipes import RECIPE
from turbo_lab.errors import StoreError
from turbo_lab.execute.committer import Committer
from turbo_lab.request.recipe import Batch, Layout
from turbo_lab.store.encode import DrawnBatch
from turbo_lab.store.record import Exactness
from turbo_lab.store.store import Store, reuse_key


def drawn(seed: int) -> DrawnBatch:
    pixels = np.full((1, 64, 64, 3), seed, np.uint8)
    return DrawnBatch(Batch(RECIPE, Layout(("a",), (seed,))), Exactness.EXACT, {}, pixels)


def key(one: DrawnBatch) -> str:
    return reuse_key(one.batch.batch_id, {}, Exactness.EXACT)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_batches_are_on_disk_in_their_order_when_drained(store: Store) -> None:
    batches, done = [drawn(seed) for seed in range(6)], []
    with Committer(store) as committer:
        for batch in batches:

            def on_done(one: DrawnBatch = batch) -> None:
                assert store.has_batch(key(one)), "it is on disk before it is reported"
                done.append((one.batch.layout.seeds[0], threading.current_thread().name))

            committer.submit(batch, on_done)
        committer.drain()
        assert done == [(seed, "commit") for seed in range(6)]


def test_leaving_commits_what_is_queued_also_after_an_error(store: Store) -> None:
    batches = [drawn(seed) for seed in range(3)]
    with pytest.raises(KeyboardInterrupt), Committer(store) as committer:
        for batch in batches:
            committer.submit(batch, lambda: None)
        raise KeyboardInterrupt
    assert all(store.has_batch(key(batch)) for batch in batches)
    assert not committer._thread.is_alive()


def test_a_failed_commit_is_raised_and_the_rest_is_dropped(store: Store) -> None:
    gate, calls = threading.Event(), list[str]()

    def fail() -> None:
        gate.wait()
        raise StoreError("the disk is full")

    with pytest.raises(StoreError, match="the disk is full"), Committer(store) as committer:
        committer.call(fail)
        committer.call(lambda: calls.append("queued before the failure"))
        gate.set()
        with pytest.raises(StoreError, match="the disk is full"):
            committer.drain()
        committer.call(lambda: calls.append("after the failure"))
    assert calls == []


def test_an_error_of_the_last_commit_is_raised_at_the_end(store: Store) -> None:
    committer = Committer(store)

    def fail() -> None:
        raise StoreError("the disk is full")

    with pytest.raises(StoreError, match="the disk is full"), committer:
        committer.call(fail)
    assert not committer._thread.is_alive()


def test_an_error_on_the_way_out_is_not_hidden_by_that_of_a_commit(store: Store) -> None:
    def fail() -> None:
        raise StoreError("the disk is full")

    with pytest.raises(RuntimeError, match="in the driver"), Committer(store) as committer:
        committer.call(fail)
        raise RuntimeError("in the driver")


def test_the_queue_is_bounded(store: Store) -> None:
    gate, put = threading.Event(), []

    def fill(committer: Committer) -> None:
        for number in range(8):
            committer.call(gate.wait)  # type: ignore[arg-type]
            put.append(number)

    with Committer(store) as committer:
        filler = threading.Thread(target=fill, args=(committer,))
        filler.start()
        while len(put) < 5:  # one at work and four in the queue
            pass
        assert committer._queue.full() and filler.is_alive()
        gate.set()
        filler.join()
    assert put == list(range(8))
