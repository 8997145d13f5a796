"""Which record or image a word names."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recipes import record
from turbo_lab.errors import InputError
from turbo_lab.store.store import Store
from turbo_lab.workflows.find_drawing import find_drawing


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with two records of one cell."""
    store = Store(tmp_path / "turbo-lab-store")
    for name in ("a", "b"):
        store.write_record(record(record_id=name * 64, cell_id="c" * 64))
    return store


def test_a_record_is_found_by_its_beginning_and_by_its_path(store: Store) -> None:
    path = store.record_path("b" * 64)
    assert find_drawing("a" * 8, store.root, None).weights.subject == "a" * 64
    assert find_drawing(str(path), Path("nowhere"), None).weights.subject == "b" * 64


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("c" * 64, r"matches 2 records \(a{12}, b{12}\); give a record id"),
        ("d" * 64, "no record of .* has this id"),
        ("aaaa", "is not a PNG file, a record path, an id"),
        ("nowhere.json", "nowhere.json: does not exist"),
    ],
)
def test_what_names_no_single_record_is_refused(word: str, message: str, store: Store) -> None:
    with pytest.raises(InputError, match=message):
        find_drawing(word, store.root, None)


def test_a_run_is_looked_up_where_mlflows_variable_says(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/theirs.db")
    with pytest.raises(InputError, match=r"there is no MLflow database .*theirs\.db"):
        find_drawing("0" * 32, store.root, None)
    with pytest.raises(InputError, match=r"there is no MLflow database .*mine\.db"):
        find_drawing("0" * 32, store.root, f"sqlite:///{tmp_path}/mine.db")
