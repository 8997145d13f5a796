"""Standard output gets one document, and a file is tried before long work."""

from __future__ import annotations

import json
import math
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


@pytest.mark.parametrize("write", [check_writable, lambda path, name: write_text(path, "", name)])
def test_a_file_that_cannot_be_written_is_wrong_input(write: object, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "page.html"
    with pytest.raises(InputError) as caught:
        write(path, "--html")  # type: ignore[operator]
    assert str(caught.value).startswith(f"--html={path}: cannot be written (")
    assert str(caught.value).endswith("; name another file")
