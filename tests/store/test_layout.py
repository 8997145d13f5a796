"""Names and places in a store."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from turbo_lab import config
from turbo_lab.errors import StoreError
from turbo_lab.store.layout import BATCHES, DEFAULT_STORE, KINDS, StoreLayout, store_around
from turbo_lab.store.store import Store

PACKAGE = Path(__file__).parents[2] / "turbo_lab"


def test_a_store_that_is_not_named_is_the_configs_own() -> None:
    (point,) = config.compose("sweep", [])
    assert point.values["store"] == DEFAULT_STORE


@pytest.mark.parametrize("name", ["../out", "a/b", "", "AB", "x" * 8])
@pytest.mark.parametrize("kind", ["batch", "record", "measurements", "timings", "sweep"])
def test_no_name_leads_out_of_the_store(kind: str, name: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=kind):
        getattr(StoreLayout(tmp_path), kind)(name)


def test_only_the_sweeps_of_a_store_are_in_one(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    assert store_around(store.sweep_files("a1").document) == store.root
    assert store_around(tmp_path / "copied" / "sweep.json") is None
    assert store_around(store.layout.folder(BATCHES) / "a1" / "sweep.json") is None


def test_sweeps_are_listed_by_the_beginning_of_their_id(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    for sweep_id in ("b2", "a1", "a2"):
        store.sweep_files(sweep_id)
    assert [one.sweep_id for one in store.layout.sweeps()] == ["a1", "a2", "b2"]
    assert [one.sweep_id for one in store.layout.sweeps("a")] == ["a1", "a2"]
    assert store.layout.sweeps("*") == []


def test_no_other_module_joins_a_stores_folder_names() -> None:
    joined = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.name != "layout.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Div)
        and isinstance(node.right, ast.Constant)
        and node.right.value in (*KINDS, "store.json", "sweep.json", "begun.json", "batch.json")
    ]
    assert joined == []
