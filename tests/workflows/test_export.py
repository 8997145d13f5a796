"""A sweep in a folder for other tools: complete or not there at all."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.report.results import sweep_result, with_cell
from turbo_lab.documents.sweep import SweepResult
from turbo_lab.errors import InputError, TurboLabError
from turbo_lab.store.store import Store
from turbo_lab.workflows import export
from turbo_lab.workflows.export import export_sweep, folder_names


@pytest.fixture
def sweep(tmp_path: Path) -> SweepResult:
    """Four cells, one of them failed, whose images are in a store."""
    store = Store(tmp_path / "store")
    return replace(sweep_result(store.root), store=store.root)


def test_images_are_in_folders_by_axis_value(sweep: SweepResult, tmp_path: Path) -> None:
    done = export_sweep(sweep, tmp_path / "out")
    assert (done.images, done.missing_images) == (12, 0)
    cell = sweep.cells[3]
    folder = tmp_path / "out" / "images" / "num_inference_steps=2" / "guidance_scale=2"
    names = [f"{index:04d}-seed{index}.png" for index in range(4)]
    assert sorted(path.name for path in folder.iterdir()) == names
    assert (folder / names[1]).read_bytes() == cell.images[1].path.read_bytes()
    listed = list(csv.DictReader((tmp_path / "out" / "images.csv").open(encoding="utf-8")))
    assert all((tmp_path / "out" / row["file"]).is_file() for row in listed)
    cells = list(csv.DictReader((tmp_path / "out" / "cells.csv").open(encoding="utf-8")))
    assert [(row["status"], row["folder"]) for row in cells][2:] == [
        ("failed", "images/num_inference_steps=2/guidance_scale=0"),
        ("done", "images/num_inference_steps=2/guidance_scale=2"),
    ]
    assert {path.name for path in tmp_path.iterdir()} == {"store", "out"}


def test_an_axis_with_one_value_is_no_folder(sweep: SweepResult, tmp_path: Path) -> None:
    export_sweep(replace(sweep, cells=sweep.cells[:1]), tmp_path / "out")
    assert (tmp_path / "out" / "images" / "0000-seed0.png").is_file()


def test_an_empty_folder_is_filled_and_any_other_is_refused(
    sweep: SweepResult, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    assert export_sweep(sweep, tmp_path / "empty").images == 12
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("empty", "file", "link"):
        with pytest.raises(InputError, match=f"{name}: exists already; name a new folder"):
            export_sweep(sweep, tmp_path / name)


def test_an_image_that_is_gone_is_counted(sweep: SweepResult, tmp_path: Path) -> None:
    sweep.cells[0].images[0].path.unlink()
    done = export_sweep(sweep, tmp_path / "out")
    assert (done.images, done.missing_images) == (11, 1)


def test_a_link_in_place_of_an_image_is_refused_and_nothing_is_left(
    sweep: SweepResult, tmp_path: Path
) -> None:
    image = sweep.cells[0].images[0].path
    (tmp_path / "secret").write_text("secret")
    image.unlink()
    image.symlink_to(tmp_path / "secret")
    with pytest.raises(TurboLabError, match="not a regular file"):
        export_sweep(sweep, tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"store", "secret"}


def test_a_linked_folder_of_a_sweep_gives_no_files(sweep: SweepResult, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "sheet.png").write_text("secret")
    folder = sweep.store / "sweeps" / sweep.sweep_id
    folder.parent.mkdir(exist_ok=True)
    folder.symlink_to(elsewhere)
    with pytest.raises(InputError, match="is a symbolic link"):
        export_sweep(sweep, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_failure_on_the_way_leaves_nothing(
    sweep: SweepResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(export, "images_csv", full)
    with pytest.raises(InputError, match=r"out: cannot be written \(No space left on device\)"):
        export_sweep(sweep, tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"store"}


def test_a_folder_that_is_no_store_gives_no_images(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    sweep = replace(sweep_result(tmp_path / "pictures"), store=tmp_path / "pictures")
    done = export_sweep(sweep, tmp_path / "out")
    assert (done.images, done.missing_images) == (0, 12)


def test_values_that_are_no_file_names_stay_apart(sweep: SweepResult, tmp_path: Path) -> None:
    changed = with_cell(sweep, 0, axes={"lora": "../../a"})
    changed = with_cell(changed, 1, axes={"lora": "..:..:a"})
    export_sweep(replace(changed, cells=changed.cells[:2]), tmp_path / "out")
    folders = list((tmp_path / "out" / "images").iterdir())
    assert len(folders) == 2 and all(f.name.startswith("lora=.._.._a-") for f in folders)


@given(st.sets(st.text(max_size=300), max_size=8))
def test_any_text_becomes_a_folder_name(texts: set[str]) -> None:
    names = folder_names(texts)
    assert len({name.casefold() for name in names.values()}) == len(texts)
    for name in names.values():
        assert 0 < len(name.encode()) <= 120
        assert not set(name) & set('/\\:*?"<>|\x00\n') and name.strip(". ") == name


def test_names_that_need_no_change_are_kept() -> None:
    assert folder_names(["lora=ink@0.8+flat@1", "seed=1"]) == {
        "lora=ink@0.8+flat@1": "lora=ink@0.8+flat@1",
        "seed=1": "seed=1",
    }
