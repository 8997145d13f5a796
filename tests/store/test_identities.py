"""Ids that name the content of a document, and those that do not."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.contract.conftest import FILES
from tests.recipes import PROVENANCE, RECIPE, record
from turbo_lab.environment import Fingerprint
from turbo_lab.request.recipe import Batch, Layout, cell_id
from turbo_lab.store.identities import batch_problem, layout_of, record_problem, timing_problem
from turbo_lab.store.provenance import SourceOrigin
from turbo_lab.store.record import BatchRecord, CellStatus, Exactness, ImageEntry, Record
from turbo_lab.store.store import Store, record_id, reuse_key

SOURCES = ("1" * 64, "2" * 64)
FROM_SOURCES = replace(RECIPE, num_inference_steps=2, strength=0.5)
ORIGIN = SourceOrigin("boat.png", Path("/photos/boat.png"), 64, 64, "center crop, Lanczos")
KEYS = {"torch": "2.15.0"}


def batch(seed: int = 0) -> BatchRecord:
    layout = Layout(("a key", "a bell"), (seed, seed + 1), SOURCES)
    made = Batch(FROM_SOURCES, layout).batch_id
    rows = zip(layout.prompts, layout.seeds, layout.sources, strict=True)
    images = tuple(ImageEntry("0.png", "3" * 64, *row) for row in rows)
    key = reuse_key(made, KEYS, Exactness.EXACT)
    return BatchRecord(made, key, Exactness.EXACT, FROM_SOURCES, images)


def finished(*batches: BatchRecord) -> Record:
    made = cell_id(FROM_SOURCES, [layout_of(one) for one in batches])
    return record(
        record_id=record_id(made, KEYS, Exactness.EXACT),
        cell_id=made,
        recipe=FROM_SOURCES,
        batches=tuple(one.reuse_key for one in batches),
        fingerprint=Fingerprint(KEYS, {}),
        provenance=replace(PROVENANCE, sources=dict.fromkeys(SOURCES, ORIGIN)),
    )


BATCHES = (batch(), batch(2))
BY_KEY = {one.reuse_key: one for one in BATCHES}
FINISHED = finished(*BATCHES)


@pytest.fixture
def old(tmp_path: Path) -> Store:
    """A store that turbo-lab 0.1.0 wrote."""
    return Store(Path(shutil.copytree(FILES / "store", tmp_path / "store")))


def test_every_document_of_an_old_store_has_the_ids_of_its_content(old: Store) -> None:
    keys = [folder.name for folder in old.layout.batches()]
    batches = {key: old.read_batch(key) for key in keys}
    assert batches and {batch_problem(one) for one in batches.values()} == {None}
    records = list(old.records())
    assert records and {record_problem(one, batches) for one in records} == {None}


def test_a_batch_from_sources_has_the_id_of_its_content() -> None:
    assert batch_problem(BATCHES[0]) is None
    assert record_problem(FINISHED, BY_KEY) is None


@pytest.mark.parametrize(
    ("field", "value"), [("prompt", "a boat"), ("seed", 7), ("source", "9" * 64)]
)
def test_another_row_is_another_batch(field: str, value: object) -> None:
    first, *others = BATCHES[0].images
    changed = replace(BATCHES[0], images=(replace(first, **{field: value}), *others))
    assert "its recipe and images have the batch id" in (batch_problem(changed) or "")


def test_each_image_names_its_source_if_the_recipe_has_a_strength() -> None:
    first, second = BATCHES[0].images
    lost = replace(BATCHES[0], images=(first, replace(second, source=None)))
    assert batch_problem(lost) == "1 of 2 images name a source image"
    text = replace(BATCHES[0], recipe=RECIPE)
    assert batch_problem(text) == "2 of 2 images name a source image"


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        (replace(FINISHED, cell_id="5" * 64), "its cell and environment have the record id"),
        (replace(FINISHED, exactness=Exactness.SPLIT), "its cell and environment have the record"),
        (replace(FINISHED, recipe=RECIPE), "whose recipe is another"),
        (replace(FINISHED, batches=FINISHED.batches[::-1]), "its recipe and batches have the cell"),
        (
            replace(FINISHED, provenance=PROVENANCE),
            "does not say where the source image 111111111111 is from",
        ),
    ],
)
def test_a_record_of_other_content_is_named(changed: Record, problem: str) -> None:
    assert problem in (record_problem(changed, BY_KEY) or "")


def test_a_batch_of_another_environment_is_named() -> None:
    moved = replace(BATCHES[0], exactness=Exactness.SPLIT)
    assert "which another environment drew" in (
        record_problem(FINISHED, {**BY_KEY, moved.reuse_key: moved}) or ""
    )


def test_the_cell_of_a_record_that_lacks_batches_is_not_judged() -> None:
    other = replace(FINISHED, batches=FINISHED.batches[::-1])
    assert record_problem(other, {}) is None
    failed = replace(other, status=CellStatus.FAILED, error="out of memory")
    assert record_problem(failed, BY_KEY) is None


def test_a_timing_is_of_the_cell_of_its_record(old: Store) -> None:
    timing = old.timings(next(iter(old.layout.timed())))[0]
    assert timing_problem(timing, timing.cell_id) is None
    assert timing_problem(timing, "5" * 64) == f"is of the cell {timing.cell_id[:12]}"
