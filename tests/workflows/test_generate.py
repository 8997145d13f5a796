"""Copies of generated images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from turbo_lab.documents.sweep import image_files
from turbo_lab.errors import InputError, StoreError
from turbo_lab.store.record import CellStatus
from turbo_lab.workflows.executed import Executed
from turbo_lab.workflows.generate import make_output_folder, save_images


def stored(done: Executed):
    (record,) = (one for one in done.outcome.records.values() if one.status == CellStatus.DONE)
    return image_files(done.store, record)


def test_images_of_finished_cells_are_copied_and_named(executed: Executed, tmp_path: Path) -> None:
    saved = save_images(executed, tmp_path)
    originals = stored(executed)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        one.path.name for one in saved
    )
    for copy, original in zip(saved, originals, strict=True):
        assert copy.path.read_bytes() == original.path.read_bytes()
        assert not copy.path.is_symlink() and copy.path.stat().st_nlink == 1
        assert replace(copy, path=original.path) == original
        slug, _, rest = copy.path.stem.partition("-seed")
        assert rest == f"{original.seed}-{original.pixel_sha256[:8]}"
        assert slug.replace("-", "").isalnum() and len(slug) <= 48
        assert original.prompt.lower().split()[1] in slug.split("-")


def test_a_second_copy_writes_over_the_first(executed: Executed, tmp_path: Path) -> None:
    first = save_images(executed, tmp_path)
    first[0].path.write_bytes(b"edited")
    assert save_images(executed, tmp_path) == first
    assert first[0].path.read_bytes() == stored(executed)[0].path.read_bytes()
    assert len(list(tmp_path.iterdir())) == 2


def test_a_link_in_a_store_is_not_followed(executed_copy: Executed, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    path = stored(executed_copy)[0].path
    path.unlink()
    path.symlink_to(secret)
    with pytest.raises(StoreError):
        save_images(executed_copy, tmp_path / "out")


def test_a_folder_is_made_or_refused_before_anything_is_drawn(tmp_path: Path) -> None:
    make_output_folder(tmp_path / "a" / "b")
    make_output_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"output=.*file: cannot be created \(File exists\); name"):
        make_output_folder(tmp_path / "file")
    with pytest.raises(InputError, match=r"output=.*: cannot be created \(Not a directory\)"):
        make_output_folder(tmp_path / "file" / "below")


def test_a_folder_that_has_gone_is_wrong_input(executed: Executed, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"output=.*gone: cannot be written to \(No such file"):
        save_images(executed, tmp_path / "gone")
