"""Which sweep a name means, and what its store has of each cell."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.recipes import record
from tests.report.results import sweep_result
from turbo_lab.documents.document import to_document
from turbo_lab.documents.sweep import SweepResult
from turbo_lab.environment import Fingerprint
from turbo_lab.errors import InputError
from turbo_lab.store.record import Measurement
from turbo_lab.store.store import Store
from turbo_lab.workflows.sweep_report import cell_details, find_sweep, read_sweep

FINGERPRINT = Fingerprint({"torch": "2.15.0"}, {})


def sweep_of(store: Store, images: Path | None) -> SweepResult:
    """Return a sweep whose paths are as a store has them."""
    sweep = sweep_result(images)
    record = store.root / "records" / "record.json"
    cells = tuple(replace(cell, record=record) for cell in sweep.cells)
    return replace(sweep, store=store.root, cells=cells)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store with two sweeps, their images and one measured cell."""
    monkeypatch.chdir(tmp_path)
    store = Store(tmp_path / "turbo-lab-store")
    images = store.root / "batches"
    images.mkdir()
    sweep = sweep_of(store, images)
    for name in ("abc123", "abd456"):
        path = store.sweep_files(name).document
        store.write_document(path, to_document("sweep", replace(sweep, sweep_id=name)))
    store.write_record(record(record_id="a0", cell_id="c0", fingerprint=FINGERPRINT))
    for fingerprint, value in (("f" * 64, 0.5), ("e" * 64, 0.9)):
        score = Measurement(
            "clip_score", value, "1", 4, "higher", fingerprint, None, per_image=(value,) * 4
        )
        store.write_measurement("a0", score)
    return store


def test_figures_an_image_are_those_of_the_document(store: Store) -> None:
    """The store holds two measurements of one name; the document says which it shows."""
    sweep = sweep_of(store, None)
    found = cell_details(sweep)
    assert set(found) == {"a0"}
    assert found["a0"].per_image == {"clip_score": (0.5,) * 4}
    assert (found["a0"].samples_s, found["a0"].fingerprint) == ((), FINGERPRINT)
    assert cell_details(replace(sweep, store=Path("/nowhere"))) == {}


def test_a_sweep_is_found_by_its_id_its_beginning_and_its_path(store: Store) -> None:
    path = store.sweep_files("abc123").document
    for name in ("abc123", "abc", str(path), str(path.parent)):
        assert find_sweep(name, str(store.root)).resolve() == path.resolve()
    assert read_sweep(path, None).store == store.root.resolve()


@pytest.mark.parametrize(
    ("name", "message"),
    [("ab", "ab: matches 2 sweeps"), ("zz", "sweep=zz: unknown"), ("", "sweep=: unknown")],
)
def test_a_name_that_means_no_single_sweep_is_refused(
    name: str, message: str, store: Store
) -> None:
    with pytest.raises(InputError, match=message):
        find_sweep(name, str(store.root))
