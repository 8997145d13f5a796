"""Which measurements become a baseline, and under which name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.recipes import record
from tests.report.results import sweep_result
from turbo_lab.compare.keep_baseline import keep_baseline
from turbo_lab.documents.document import to_document
from turbo_lab.errors import InputError
from turbo_lab.store.record import Measurement
from turbo_lab.store.store import Store

ONE, TWO, RECORD = "1" * 12, "2" * 12, "a" * 64


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with a sweep of one measured cell, ``ONE``, and a sweep of two, ``TWO``."""
    monkeypatch.chdir(tmp_path)
    store = Store(tmp_path / "turbo-lab-store")
    sweep = replace(sweep_result(None), store=store.root)
    first = replace(sweep.cells[0], record_id=RECORD, record=store.layout.record(RECORD), images=())
    for name, cells in ((ONE, (first,)), (TWO, (first, first))):
        document = to_document("sweep", replace(sweep, sweep_id=name, cells=cells))
        store.write_document(store.sweep_files(name).document, document)
    store.write_record(record(record_id=RECORD))
    return store.root


def measure(store: Path, value: float) -> None:
    score = Measurement("clip_score", value, "1", 0, "higher", "f" * 64, None, per_image=())
    Store(store).write_measurement(RECORD, score)


def test_the_digest_before_is_returned(store: Path) -> None:
    measure(store, 0.5)
    first = keep_baseline("mine", store, ONE, None)
    assert first.path == Path.cwd() / "baselines" / "mine.json" and first.replaced is None
    assert keep_baseline("mine", store, TWO, 1).replaced == first.digest
    first.path.write_text("{")
    assert keep_baseline("mine", store, ONE, None).replaced == "damaged"


@pytest.mark.parametrize(
    ("name", "sweep", "cell", "message"),
    [
        ("a/b", ONE, None, "must be a name of letters, digits, - _ and ."),
        ("mine", TWO, None, f"{TWO}: has 2 cells; add one of\n  cell=0"),
        ("mine", TWO, 2, "cell=2: must be a number from 0 to 1"),
        ("mine", ONE, None, "has no metrics with values per image"),
        ("published", ONE, None, "published values are not a baseline"),
    ],
)
def test_what_cannot_be_kept_is_refused(
    name: str, sweep: str, cell: int | None, message: str, store: Path
) -> None:
    with pytest.raises(InputError) as caught:
        keep_baseline(name, store, sweep, cell)
    assert message in str(caught.value)
    assert not (Path.cwd() / "baselines").exists()
