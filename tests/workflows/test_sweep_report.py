"""Which sweep a name means, and what its store has of each cell."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.report.results import STORE_FINGERPRINT, store_with_sweeps, sweep_of
from turbo_lab.errors import InputError
from turbo_lab.store.store import Store
from turbo_lab.workflows.sweep_report import cell_details, find_sweep, read_sweep


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store with two sweeps, their images and one measured cell, in the working directory."""
    monkeypatch.chdir(tmp_path)
    return store_with_sweeps(tmp_path / "turbo-lab-store", "abc123", "abd456")


def test_figures_an_image_are_those_of_the_document(store: Store) -> None:
    """The store holds two measurements of one name; the document says which it shows."""
    sweep = sweep_of(store, None)
    found = cell_details(sweep)
    assert set(found) == {"a0"}
    assert found["a0"].per_image == {"clip_score": (0.5,) * 4}
    assert (found["a0"].samples_s, found["a0"].fingerprint) == ((), STORE_FINGERPRINT)
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
