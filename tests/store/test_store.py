"""The store: whole or not at all, once written never changed, two writers at once."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.recipes import RECIPE, record
from turbo_lab.errors import StoreError, WriteError
from turbo_lab.images import encode_png, pixel_sha256
from turbo_lab.store import store as store_module
from turbo_lab.store.record import (
    BatchRecord,
    CellStatus,
    ImageEntry,
    Measurement,
    Record,
    document,
)
from turbo_lab.store.store import Store, read_image, reuse_key

ROOT = str(Path(__file__).parents[2])
KEY = "ab" + "0" * 62
# Makes the store, or opens it, and writes the same record as the others, with its own mark.
MAKER = """
import sys
from pathlib import Path
from turbo_lab.store.store import Store
from turbo_lab.environment import Fingerprint
from tests.recipes import record
sys.stdin.readline()
store = Store(Path(sys.argv[1]))
store.write_record(record(fingerprint=Fingerprint({}, {"mark": sys.argv[2]})))
print(store.read_record("c" * 64).fingerprint.options["mark"])
"""


def make_batch(key: str = KEY) -> BatchRecord:
    image = ImageEntry("00-seed1.png", "f" * 64, "a prompt", 1)
    return BatchRecord("b" * 64, key, "exact", RECIPE, (image,))


def make_record(status: str = "done", error: str | None = None) -> Record:
    return record(status=CellStatus(status), error=error, batches=(KEY,))


def test_batch_comes_back_as_it_was(tmp_path: Path) -> None:
    store = Store(tmp_path / "s")
    assert not store.has_batch(KEY)
    store.commit_batch(make_batch(), {"00-seed1.png": b"png"})
    assert store.has_batch(KEY) and Store(tmp_path / "s").has_batch(KEY)
    assert store.read_batch(KEY) == make_batch()
    assert (store.batch_folder(KEY) / "00-seed1.png").read_bytes() == b"png"
    assert not any((tmp_path / "s" / "tmp").iterdir())


def test_second_writer_keeps_what_the_first_put_in_place(tmp_path: Path) -> None:
    first, second = Store(tmp_path / "s"), Store(tmp_path / "s")
    first.commit_batch(make_batch(), {"00-seed1.png": b"first"})
    second.commit_batch(make_batch(), {"00-seed1.png": b"second"})
    assert (first.batch_folder(KEY) / "00-seed1.png").read_bytes() == b"first"
    assert not any((tmp_path / "s" / "tmp").iterdir())


@pytest.mark.parametrize("step", ["write_bytes", "write_text", "rename"])
def test_full_disk_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    store = Store(tmp_path / "s")

    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "somewhere")

    with monkeypatch.context() as patch:
        patch.setattr(Path, step, full)
        with pytest.raises(WriteError, match="the disk is full") as raised:
            store.commit_batch(make_batch(), {"00-seed1.png": b"png"})
    assert raised.value.exit_code == 3
    assert not store.batch_folder(KEY).exists()
    assert not any((tmp_path / "s" / "tmp").iterdir())


def test_store_that_cannot_be_begun_is_wrong_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "somewhere")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(StoreError, match="the disk is full") as raised:
        Store(tmp_path / "s")
    assert raised.value.exit_code == 2 and not (tmp_path / "s" / "store.json").exists()


def test_failed_sync_is_not_a_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path / "s")

    def fail(folder: Path) -> None:
        raise OSError(errno.EIO, "input/output error", str(folder))

    monkeypatch.setattr(store_module, "_sync_filesystem", fail)
    with pytest.raises(StoreError, match="input/output error"):
        store.commit_batch(make_batch(), {"00-seed1.png": b"png"})
    assert not store.has_batch(KEY)


def test_done_record_is_never_changed_and_failed_one_may_be(tmp_path: Path) -> None:
    store = Store(tmp_path / "s")
    store.write_record(make_record("failed", "out of memory"))
    store.write_record(make_record())
    store.write_record(make_record("failed", "later"))
    assert store.read_record("c" * 64) == make_record()
    assert list(store.records()) == [make_record()]


def test_processes_that_make_one_store_at_once_agree_on_one_record(tmp_path: Path) -> None:
    makers = [
        subprocess.Popen(
            [sys.executable, "-c", MAKER, str(tmp_path / "s"), str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": ROOT},
        )
        for number in range(4)
    ]
    for maker in makers:
        assert maker.stdin is not None
        maker.stdin.write("go\n")
        maker.stdin.flush()
    said = [maker.communicate() for maker in makers]
    assert [maker.returncode for maker in makers] == [0] * 4, said
    assert len({output for output, _ in said}) == 1


def test_a_binary_document_is_damaged_and_no_crash(tmp_path: Path) -> None:
    store = Store(tmp_path / "s")
    store.write_record(make_record())
    store.record_path("c" * 64).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(StoreError, match=r"\.json: is damaged"):
        store.read_record("c" * 64)


def test_measurements_of_two_fingerprints_lie_side_by_side(tmp_path: Path) -> None:
    store = Store(tmp_path / "s")
    for fingerprint, value in (("1" * 64, 0.5), ("2" * 64, float("inf"))):
        store.write_measurement(
            "a1", Measurement("fd/nano-clip", value, "1", 3, "lower", fingerprint, None)
        )
    assert sorted(m.value or 0 for m in store.measurements("a1")) == [0.5, float("inf")]


def test_newer_schema_is_refused(tmp_path: Path) -> None:
    Store(tmp_path / "s")
    path = tmp_path / "s" / "store.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": 99}))
    with pytest.raises(StoreError, match="schema 99 is newer"):
        Store(tmp_path / "s")


def test_foreign_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(StoreError, match="is not a turbo-lab store and not empty"):
        Store(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_damaged_document_is_named(tmp_path: Path) -> None:
    store = Store(tmp_path / "s")
    store.commit_batch(make_batch(), {})
    (store.batch_folder(KEY) / "batch.json").write_text('{"schema": 1, "ki')
    with pytest.raises(StoreError, match=r"batch\.json: is damaged"):
        store.read_batch(KEY)


def test_reuse_key_depends_on_batch_environment_and_exactness() -> None:
    keys = {
        reuse_key("a", {"torch": "1"}, "exact"),
        reuse_key("b", {"torch": "1"}, "exact"),
        reuse_key("a", {"torch": "2"}, "exact"),
        reuse_key("a", {"torch": "1"}, "batched"),
    }
    assert len(keys) == 4


def damaged(**changes: object) -> bytes:
    """Return the document of a record with other values; ``...`` leaves a field out."""
    values = document("record", make_record()) | changes
    return json.dumps({key: value for key, value in values.items() if value is not ...}).encode()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "Expecting value"),
        (b"\xff\xfe", "decode"),
        (b"[]", "it is not a JSON object"),
        (damaged(batches=...), "batches is missing"),
        (damaged(status="drawn"), "status is 'drawn', not one of done, reused, failed"),
        (damaged(batches=3), "batches is 3, not a list"),
        (damaged(batches=[KEY, 3]), r"batches\[1\] is 3, not text"),
        (damaged(fingerprint={"keys": {}}), "fingerprint.options is missing"),
        (damaged(recipe={}), "recipe.model is missing"),
        (damaged(parameters={}), "parameters.model is missing"),
        (damaged(provenance={"models": {"a": {}}}), "provenance.models.a.digest is missing"),
    ],
)
def test_damaged_record_says_what_takes_it_out(tmp_path: Path, content: bytes, said: str) -> None:
    store = Store(tmp_path / "s")
    store.write_record(make_record())
    store.record_path("c" * 64).write_bytes(content)
    for read in (lambda: store.read_record("c" * 64), lambda: list(store.records())):
        with pytest.raises(StoreError, match=f"{said}.*store verify --remove-damaged"):
            read()


def test_image_that_is_gone_or_was_changed_is_no_image(tmp_path: Path) -> None:
    pixels = np.zeros((64, 64, 3), np.uint8)
    path = tmp_path / "00-seed1.png"
    with pytest.raises(StoreError, match="does not exist.*--remove-damaged"):
        read_image(path, pixel_sha256(pixels))
    path.write_bytes(encode_png(pixels, {}))
    assert (read_image(path, pixel_sha256(pixels)) == pixels).all()
    path.write_bytes(encode_png(pixels + 1, {}))
    with pytest.raises(StoreError, match="pixels are not those that were committed"):
        read_image(path, pixel_sha256(pixels))
