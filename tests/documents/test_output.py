"""Standard output gets one document, and a file is tried before long work."""

from __future__ import annotations

import json
import math
import os
import resource
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from turbo_lab.documents.output import check_writable, print_document, write_text
from turbo_lab.documents.results import BaselineShown
from turbo_lab.errors import InputError


def test_a_document_is_strict_json_in_plain_text(capsys: pytest.CaptureFixture[str]) -> None:
    shown = BaselineShown("ä", "d", "r", {}, 1, {"clip_score": math.nan}, {})
    print_document("baseline show", shown)
    text = capsys.readouterr().out
    assert "ä" in text and text.endswith("}\n")
    assert json.loads(text)["figures"] == {"clip_score": "nan"}


def test_a_document_of_another_kind_is_our_own_bug() -> None:
    with pytest.raises(AssertionError, match="store du: BaselineShown"):
        print_document("store du", BaselineShown("a", "d", "r", {}, 1, {}, {}))


def test_a_file_is_tried_without_being_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "page.html"
    check_writable(path, "--html")
    assert path.parent.is_dir() and not path.exists()
    write_text(path, "old", "--html")
    check_writable(path, "--html")
    assert path.read_text() == "old"


def test_a_pipe_is_left_alone(tmp_path: Path) -> None:
    """Opening it would wait for a reader, and closing it would be that reader's end."""
    os.mkfifo(tmp_path / "pipe")
    check_writable(tmp_path / "pipe", "--html")


@pytest.mark.parametrize("write", [check_writable, lambda path, name: write_text(path, "", name)])
def test_a_file_that_cannot_be_written_is_wrong_input(write: object, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "page.html"
    with pytest.raises(InputError) as caught:
        write(path, "--html")  # type: ignore[operator]
    assert str(caught.value).startswith(f"--html={path}: cannot be written (")
    assert str(caught.value).endswith("; name another file")


def test_a_name_that_is_too_long_is_wrong_input(tmp_path: Path) -> None:
    for write in (check_writable, lambda path, name: write_text(path, "", name)):
        with pytest.raises(InputError, match="File name too long.*; name another file"):
            write(tmp_path / ("x" * 300), "--html")


@contextmanager
def files_of_at_most(num_bytes: int) -> Iterator[None]:
    """Let writes fail as on a full disk: in the middle."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_write_that_fails_leaves_the_old_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    write_text(path, "old", "--html")
    with files_of_at_most(1 << 20), pytest.raises(InputError, match="cannot be written"):
        write_text(path, "new" * (1 << 20), "--html")
    assert path.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["page.html"]


def test_a_file_behind_a_link_is_replaced_and_keeps_its_permissions(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    page = tmp_path / "shared" / "page.html"
    page.write_text("old")
    page.chmod(0o640)
    link = tmp_path / "link.html"
    link.symlink_to(page)
    write_text(link, "new", "--html")
    assert link.is_symlink() and page.read_text() == "new"
    assert stat.S_IMODE(page.stat().st_mode) == 0o640


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    """As ``--html /dev/stdout`` is a pipe behind a link."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "stdout").symlink_to(pipe)
    found: list[str] = []
    reader = threading.Thread(target=lambda: found.append(pipe.read_text()))
    reader.start()
    write_text(tmp_path / "stdout", "page", "--html")
    reader.join(timeout=60)
    assert found == ["page"] and stat.S_ISFIFO(pipe.stat().st_mode)
