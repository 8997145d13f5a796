"""verify, du and gc on a small store with every kind of damage."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from turbo_lab import images
from turbo_lab.cli import main
from turbo_lab.record import BatchRecord, ImageEntry, Record
from turbo_lab.store import Store

KEYS = ("a" * 64, "b" * 64)


def make_batch(key: str, seed: int) -> tuple[BatchRecord, dict[str, bytes]]:
    pixels = np.full((8, 8, 3), seed, np.uint8)
    entry = ImageEntry("00.png", images.pixel_sha256(pixels), "a key", seed)
    batch = BatchRecord(key, key, "exact", {"model": "m" * 64}, (entry,))
    return batch, {"00.png": images.encode_png(pixels, {})}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Two batches; a record names the first."""
    monkeypatch.chdir(tmp_path)
    made = Store(tmp_path / "turbo-lab-store")
    for seed, key in enumerate(KEYS):
        made.commit_batch(*make_batch(key, seed))
    made.write_record(Record("c" * 64, "d" * 64, "done", None, "exact", {}, {}, KEYS[:1], {}, {}))
    return made


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict]:  # type: ignore[type-arg]
    capsys.readouterr()
    code = main(["store", *words, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_sound_store(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "verify")[1]["damaged"] == []
    assert main(["store", "verify"]) == 0
    assert "sound" in capsys.readouterr().out


def test_other_pixels_a_cut_document_and_strays_are_found_and_removed(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    first = store.batch_folder(KEYS[0])
    (first / "00.png").write_bytes(images.encode_png(np.zeros((8, 8, 3), np.uint8) + 9, {}))
    second = store.batch_folder(KEYS[1]) / "batch.json"
    second.write_text(second.read_text()[:40])
    stray = store.root / "measurements" / ("e" * 64)
    stray.mkdir(parents=True)
    code, values = said(capsys, "verify")
    assert code == 3
    reasons = {Path(row["path"]).name: row["reason"] for row in values["damaged"]}
    assert "other pixels" in reasons[KEYS[0]]
    assert "is damaged" in reasons[KEYS[1]]
    assert "missing or damaged" in reasons["c" * 64 + ".json"]
    assert "no record" in reasons["e" * 64]
    assert said(capsys, "verify", "--remove-damaged")[0] == 0
    assert said(capsys, "verify")[1]["damaged"] == []
    assert not first.exists()


def test_gc_takes_what_is_dead_and_orphans_only_when_asked(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    dead = store.root / "tmp" / f"{ended.pid}-1"
    alive = store.root / "tmp" / f"{os.getpid()}-1"
    for folder in (dead, alive):
        folder.mkdir()
        (folder / "half.png").write_bytes(b"x" * 100)
    _, values = said(capsys, "gc", "--dry-run")
    assert (values["removed"], values["freed_bytes"]) == ([str(dead)], 100)
    assert dead.exists()
    said(capsys, "gc")
    assert alive.exists() and not dead.exists()
    _, values = said(capsys, "gc", "--orphans")
    assert values["removed"] == [str(store.batch_folder(KEYS[1]))]
    assert store.holds(KEYS[0]) and not store.holds(KEYS[1])


def test_du_by_kind_and_model(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    _, values = said(capsys, "du")
    kinds = {row["kind"]: row for row in values["kinds"]}
    assert (kinds["batches"]["files"], kinds["records"]["files"]) == (4, 1)
    assert values["models"][0]["kind"] == "m" * 64
    assert values["models"][0]["size_bytes"] == kinds["batches"]["size_bytes"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "verify, du or gc"),
        (["verfy"], "Did you mean verify?"),
        (["du", "store=nowhere"], "is no store"),
        (["gc", "--orphan"], "unknown word"),
    ],
)
def test_wrong_words(
    store: Store, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main(["store", *words]) == 2
    assert message in capsys.readouterr().err
