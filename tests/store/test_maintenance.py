"""verify, du and gc on a small store with every kind of damage."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from tests.contract.conftest import FILES
from tests.recipes import RECIPE, record
from turbo_lab import images
from turbo_lab.cli.main import main
from turbo_lab.request.recipe import Batch, Layout, cell_id
from turbo_lab.store.record import BatchRecord, Exactness, ImageEntry, Measurement
from turbo_lab.store.store import Store, record_id, reuse_key

ROOT = str(Path(__file__).parents[2])
LAYOUTS = [Layout(("a key",), (seed,)) for seed in range(2)]
KEYS = tuple(reuse_key(Batch(RECIPE, one).batch_id, {}, Exactness.EXACT) for one in LAYOUTS)
CELL = cell_id(RECIPE, LAYOUTS[:1])
RECORD = record_id(CELL, {}, Exactness.EXACT)
# A process in the middle of a commit: its folder is there, with half of a file.
WRITER = """
import sys
from pathlib import Path
from turbo_lab.store.store import Store
with Store(Path(sys.argv[1]))._aside() as partial:
    (partial / "half.png").write_bytes(b"x" * 100)
    print(partial, flush=True)
    sys.stdin.readline()
"""


def make_batch(key: str, seed: int) -> tuple[BatchRecord, dict[str, bytes]]:
    pixels = np.full((8, 8, 3), seed, np.uint8)
    entry = ImageEntry("00.png", images.pixel_sha256(pixels), "a key", seed)
    batch_id = Batch(RECIPE, LAYOUTS[seed]).batch_id
    batch = BatchRecord(batch_id, key, Exactness.EXACT, RECIPE, (entry,))
    return batch, {"00.png": images.encode_png(pixels, {})}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Two batches; a record names the first."""
    monkeypatch.chdir(tmp_path)
    made = Store(tmp_path / "turbo-lab-store")
    for seed, key in enumerate(KEYS):
        made.commit_batch(*make_batch(key, seed))
    made.write_record(record(record_id=RECORD, cell_id=CELL, batches=KEYS[:1]))
    made.write_measurement(RECORD, Measurement("fd", 0.5, "1", 3, "lower", "1" * 64, None))
    return made


@contextmanager
def writer(store: Store) -> Iterator[tuple[Path, subprocess.Popen]]:  # type: ignore[type-arg]
    """A folder under ``tmp`` and the process that writes it; killed at the end."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(store.root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": ROOT},
    )
    assert process.stdout is not None
    try:
        yield Path(process.stdout.readline().strip()), process
    finally:
        process.kill()
        process.wait()


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict]:  # type: ignore[type-arg]
    capsys.readouterr()
    code = main(["store", *words, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_sound_store(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "verify")[1]["damaged"] == []
    assert main(["store", "verify"]) == 0
    assert "sound" in capsys.readouterr().out


def test_other_pixels_and_a_cut_document_are_found_and_removed(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    first = store.batch_folder(KEYS[0])
    (first / "00.png").write_bytes(images.encode_png(np.zeros((8, 8, 3), np.uint8) + 9, {}))
    second = store.batch_folder(KEYS[1]) / "batch.json"
    second.write_text(second.read_text()[:40])
    code, values = said(capsys, "verify")
    assert code == 3
    reasons = {Path(row["path"]).name: row["reason"] for row in values["damaged"]}
    assert "pixels that were not committed" in reasons[KEYS[0]]
    assert "is damaged" in reasons[KEYS[1]]
    assert "missing or damaged" in reasons[f"{RECORD}.json"]
    assert len(reasons) == 3
    # The record is whole: the next sweep makes its batch again, and what was measured stays.
    code, values = said(capsys, "verify", "--remove-damaged")
    assert code == 3
    assert {Path(row["path"]).name for row in values["removed"]} == set(KEYS)
    assert [Path(row["path"]).name for row in values["damaged"]] == [f"{RECORD}.json"]
    assert not first.exists() and store.read_record(RECORD)
    store.commit_batch(*make_batch(KEYS[0], 0))
    assert said(capsys, "verify")[0] == 0


def break_png(store: Store) -> Path:
    path = store.batch_folder(KEYS[0]) / "00.png"
    path.write_bytes(path.read_bytes()[:45])
    return path.parent


def lose_png(store: Store) -> Path:
    path = store.batch_folder(KEYS[0]) / "00.png"
    path.unlink()
    return path.parent


def swap_batches(store: Store) -> Path:
    folder = store.batch_folder(KEYS[1])
    shutil.rmtree(folder)
    shutil.copytree(store.batch_folder(KEYS[0]), folder)
    return folder


def break_record(store: Store) -> Path:
    path = store.record_path(RECORD)
    path.write_bytes(b"\xff\xfe")
    return path


def empty_record(store: Store) -> Path:
    path = store.record_path(RECORD)
    path.write_text("[]")
    return path


def lose_a_field(store: Store) -> Path:
    (path,) = (store.root / "measurements" / RECORD).iterdir()
    values = json.loads(path.read_text())
    del values["unit"]
    path.write_text(json.dumps(values))
    return path


def lose_record(store: Store) -> Path:
    store.record_path(RECORD).unlink()
    return store.root / "measurements" / RECORD


def break_sweep(store: Store) -> Path:
    path = store.sweep_files("1").document
    path.write_text('{"schema": 1, "kind": "plan"}')
    return path


def another_recipe(store: Store) -> Path:
    """A batch of two steps under the key of one step: a sweep would reuse it."""
    path = store.layout.batch_document(KEYS[0])
    values = json.loads(path.read_text())
    values["recipe"]["num_inference_steps"] = 2
    path.write_text(json.dumps(values))
    return path.parent


def another_guidance(store: Store) -> Path:
    path = store.record_path(RECORD)
    values = json.loads(path.read_text())
    values["recipe"]["guidance_scale"] = 2.0
    path.write_text(json.dumps(values))
    return path


def another_environment(store: Store) -> Path:
    path = store.record_path(RECORD)
    values = json.loads(path.read_text())
    values["fingerprint"]["keys"]["torch"] = "1.0"
    path.write_text(json.dumps(values))
    return path


def timing_of_another_cell(store: Store) -> Path:
    old = next((FILES / "store" / "timings").rglob("*.json"))
    target = store.layout.timings(RECORD) / "1.json"
    target.parent.mkdir(parents=True)
    shutil.copy(old, target)
    return target


def break_revisions(store: Store) -> Path:
    store.layout.revisions.write_text("[]")
    return store.layout.revisions


@pytest.mark.parametrize(
    "damage",
    [
        break_png,
        lose_png,
        swap_batches,
        break_record,
        empty_record,
        lose_a_field,
        lose_record,
        break_sweep,
        another_recipe,
        another_guidance,
        another_environment,
        timing_of_another_cell,
        break_revisions,
    ],
)
def test_each_kind_of_damage_is_found(
    store: Store, capsys: pytest.CaptureFixture[str], damage: Callable[[Store], Path]
) -> None:
    path = damage(store)
    code, values = said(capsys, "verify")
    assert code == 3
    found = {row["path"]: row["reason"] for row in values["damaged"]}
    assert str(path) in found and all(found.values())


def test_nothing_is_removed_while_another_process_has_the_store_open(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = break_png(store)
    with writer(store) as (partial, process):
        for words in (["verify", "--remove-damaged"], ["gc", "--orphans"]):
            assert main(["store", *words]) == 3
            assert "another process has it open" in capsys.readouterr().err
        assert said(capsys, "gc")[1]["removed"] == []
        assert broken.exists() and store.holds(KEYS[1]) and partial.exists()
        process.kill()
        process.wait()
        _, values = said(capsys, "gc", "--dry-run")
        assert (values["removed"], values["freed_bytes"]) == ([str(partial)], 100)
        assert partial.exists()
        said(capsys, "gc")
        assert not partial.exists()


def test_gc_takes_what_no_record_names_only_when_asked(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    stray = store.root / "timings" / ("f" * 64)
    stray.mkdir(parents=True)
    orphans = [str(store.batch_folder(KEYS[1])), str(stray)]
    assert said(capsys, "gc")[1]["removed"] == []
    assert said(capsys, "gc", "--orphans", "--dry-run")[1]["removed"] == orphans
    assert store.holds(KEYS[1])
    assert said(capsys, "gc", "--orphans")[1]["removed"] == orphans
    assert store.holds(KEYS[0]) and not store.holds(KEYS[1])
    assert said(capsys, "verify")[0] == 0


def test_gc_does_not_take_a_batch_for_an_orphan_whose_record_cannot_be_read(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    break_record(store)
    assert main(["store", "gc", "--orphans"]) == 2
    assert "is damaged" in capsys.readouterr().err
    assert store.holds(KEYS[0])


def test_du_by_kind_and_model(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    _, values = said(capsys, "du")
    kinds = {row["kind"]: row for row in values["kinds"]}
    assert (kinds["batches"]["files"], kinds["records"]["files"]) == (4, 1)
    assert (kinds["measurements"]["files"], kinds["orphans"]["files"]) == (1, 2)
    (model,) = values["models"]
    assert (model["kind"], model["name"]) == ("e" * 64, "nano-turbo")
    assert model["size_bytes"] == kinds["batches"]["size_bytes"]
    break_sweep(store)
    (store.batch_folder(KEYS[1]) / "batch.json").unlink()
    _, values = said(capsys, "du")
    assert [row["kind"] for row in values["models"]] == ["e" * 64, "unreadable"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "name one of verify, du, gc"),
        (["verfy"], "Did you mean verify?"),
        (["du", "store=nowhere"], "is not a turbo-lab store"),
        (["gc", "--orphan"], "Did you mean '--orphans'?"),
    ],
)
def test_wrong_words(
    store: Store, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main(["store", *words]) == 2
    assert message in capsys.readouterr().err
