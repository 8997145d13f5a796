"""History files: nothing lost between writers, nothing read that was edited or cut off."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.history.entries import entries, entry
from turbo_lab.errors import InputError, StoreError, TurboLabError
from turbo_lab.history.file import append, check_history, read

VALUES = [0.05, 0.051, 0.049]
# Appends to argv[1] the entries of days argv[2] to argv[3], one at a time.
WRITER = """
import sys
from pathlib import Path
from tests.history.entries import entry
from turbo_lab.history.file import append
for day in range(int(sys.argv[2]), int(sys.argv[3])):
    append(Path(sys.argv[1]), [entry(day, 0.05)])
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A history of three entries."""
    path = tmp_path / "deep" / "history.jsonl"
    append(path, entries(VALUES))
    return path


def test_entries_come_back_in_the_order_of_their_dates(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    append(path, entries(VALUES)[::-1])
    assert list(read(path)) == entries(VALUES)


@given(st.floats(allow_nan=False), st.text(max_size=20))
def test_any_figure_survives(
    tmp_path_factory: pytest.TempPathFactory, value: float, name: str
) -> None:
    path = tmp_path_factory.mktemp("any") / "history.jsonl"
    one = entry(0, value, name=name.encode("utf-8", "replace").decode(), ci95=None)
    append(path, [one])
    assert read(path) == (one,)


def test_an_entry_is_added_once(path: Path) -> None:
    content = path.read_bytes()
    done = append(path, [*entries(VALUES), entry(9, 0.06), entry(9, 0.06)])
    assert (done.added, done.already, done.path) == (1, 3, path.resolve())
    assert path.read_bytes().startswith(content)
    assert len(read(path)) == 4


def test_two_writers_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(first), str(first + 25)])
        for first in (0, 25)
    ]
    assert [writer.wait(120) for writer in writers] == [0, 0]
    assert list(read(path)) == [entry(day, 0.05) for day in range(50)]


def test_lines_can_be_merged_and_empty_ones_are_ignored(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    append(other, [entry(7, 0.06)])
    path.write_bytes(other.read_bytes() + b"\n" + path.read_bytes())
    assert list(read(path)) == [*entries(VALUES), entry(7, 0.06)]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b'"value": 0.051', b'"value": 0.041', "line 2 was edited: its content does not match"),
        (b'"id": ', b'"di": ', "line 1 was edited"),
        (b'{"id"', b'["id"', "line 1 is damaged"),
        (b"\n", b"\n[1]\n", "line 2 is damaged (it is not a JSON object)"),
    ],
)
def test_an_edited_line_is_named(path: Path, old: bytes, new: bytes, message: str) -> None:
    path.write_bytes(path.read_bytes().replace(old, new, 1))
    for work in (
        lambda: read(path),
        lambda: append(path, [entry(9, 1)]),
        lambda: check_history(path),
    ):
        content = path.read_bytes()
        with pytest.raises(StoreError) as caught:
            work()
        assert message in str(caught.value) and "restore the file" in str(caught.value)
        assert path.read_bytes() == content


@given(st.data())
def test_a_file_cut_off_anywhere_is_refused_or_shorter(data: st.DataObject) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "history.jsonl"
        append(path, entries(VALUES))
        whole = path.read_bytes()
        size = data.draw(st.integers(1, len(whole) - 1))
        path.write_bytes(whole[:size])
        if whole[size - 1 : size] == b"\n":
            assert list(read(path)) == entries(VALUES)[: whole[:size].count(b"\n")]
        else:
            with pytest.raises(StoreError, match=r"line \d is cut off"):
                read(path)


def test_a_date_that_is_none_is_refused(path: Path) -> None:
    from turbo_lab.identity import canonical_json, sha256_text

    values = json.loads(path.read_text().splitlines()[0])
    values["occasion"]["date"] = "yesterday"
    content = {key: value for key, value in values.items() if key != "id"}
    path.write_text(json.dumps(values | {"id": sha256_text(canonical_json(content))}) + "\n")
    with pytest.raises(StoreError, match="date 'yesterday' is not in UTC"):
        read(path)


def test_a_write_that_fails_leaves_the_file_as_it_was(path: Path) -> None:
    content = path.read_bytes()
    child = os.fork()
    if not child:
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(content) + 10,) * 2)
        try:
            append(path, [entry(9, 0.06)])
        except TurboLabError as error:
            os._exit(0 if "cannot be written (File too large)" in str(error) else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert path.read_bytes() == content


def test_what_is_no_history(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="does not exist; add the first entry with --history"):
        read(tmp_path / "none.jsonl")
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(StoreError, match="has no entries"):
        read(tmp_path / "empty.jsonl")
    with pytest.raises(TurboLabError, match="is a folder|cannot be written"):
        append(tmp_path, [entry(0, 1)])
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(TurboLabError, match="a named pipe, not a regular file"):
        append(tmp_path / "pipe", [entry(0, 1)])
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        append(tmp_path / "file" / "history.jsonl", [entry(0, 1)])
