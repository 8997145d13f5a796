"""Progress is shown on standard error, and nowhere else."""

from __future__ import annotations

import contextlib
import contextvars
import os
import pty
import re
import sys
import threading

import pytest

from turbo_lab import progress
from turbo_lab.progress import StderrProgress, duration, hidden, track, waiting


@pytest.fixture(autouse=True)
def display() -> None:
    """Nothing is in progress: other tests of this process may have left work unfinished."""
    progress._STDERR.reset()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 s"),
        (0.0421, "0.042 s"),
        (0.5, "0.5 s"),
        (0.999, "1.0 s"),
        (5.34, "5.3 s"),
        (9.97, "10 s"),
        (59.6, "1 min"),
        (470.9, "7 min 51 s"),
        (3599.7, "1 h"),
        (7505, "2 h 5 min"),
    ],
)
def test_a_duration_is_written_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_each_item_passes_and_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(track(("blur", "noise"), "faults")) == ["blur", "noise"]
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == ["1/2 faults", "2/2 faults"]


def test_plain_lines_are_few(capsys: pytest.CaptureFixture[str]) -> None:
    """The first, one every few seconds, and the last: a log of thousands helps nobody."""
    list(track(range(1000), "fresh processes"))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "1/1000 fresh processes"
    assert lines[-1] == "1000/1000 fresh processes"
    assert len(lines) < 10


def test_an_item_counts_when_it_is_done_and_not_when_it_begins(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(RuntimeError, match="second"):
        for item in track((1, 2), "faults"):
            if item == 2:
                raise RuntimeError("second")
    assert capsys.readouterr().err.splitlines() == ["1/2 faults"]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeat lines at once, as if the seconds in between had passed."""
    monkeypatch.setattr(progress, "_LINE_EVERY_S", 0.01)
    monkeypatch.setattr(progress, "_FIRST_LINE_S", 0.0)


def lines_until(capsys: pytest.CaptureFixture[str], count: int) -> list[str]:
    """Wait for that many lines on standard error."""
    lines: list[str] = []
    while len(lines) < count:
        lines += capsys.readouterr().err.splitlines()
    return lines


@pytest.mark.usefixtures("impatient")
def test_long_work_in_one_piece_is_shown_again_and_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with waiting("loading"):
        lines = lines_until(capsys, 3)
    assert all(line.startswith("loading: ") and line.endswith(" s so far") for line in lines)
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("loading: ") and not last.endswith("so far")


@pytest.mark.usefixtures("impatient")
def test_counted_work_that_stands_still_is_shown_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for item in track((1, 2), "cells timed"):
        lines = lines_until(capsys, 2)
        assert all(line.startswith(f"{item - 1}/2 cells timed") for line in lines[1:])


@pytest.mark.usefixtures("impatient")
def test_the_innermost_work_that_is_not_finished_is_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    images = StderrProgress("the candidate")
    images.begin(4)
    with waiting("loading"):
        assert lines_until(capsys, 1)[-1].startswith("loading: ")
    capsys.readouterr()
    assert lines_until(capsys, 1)[-1].startswith("0/4 images of the candidate: ")
    images.end()


def test_short_work_says_nothing_and_an_error_goes_through(
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = threading.active_count()
    with pytest.raises(RuntimeError, match="broken"), waiting("loading"):
        raise RuntimeError("broken")
    assert capsys.readouterr().err == "" and threading.active_count() == before


def test_a_terminal_has_a_bar_per_work_within_80_columns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    controller, terminal = pty.openpty()
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    with os.fdopen(terminal, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        for _ in track((1, 2), "cells timed"):
            with waiting("first call (compiling, capturing or filling caches)"):
                progress._STDERR._bars.refresh()  # type: ignore[union-attr]
    shown = b""
    with contextlib.suppress(OSError):  # how Linux says that the terminal has been closed
        while chunk := os.read(controller, 65536):
            shown += chunk
    os.close(controller)
    lines = re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode()))
    assert any("cells timed" in line and "1/2" in line for line in lines)
    assert any("first call" in line for line in lines)
    assert max(map(len, lines)) <= 80


def test_nothing_to_do_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(track((), "faults")) == []
    assert capsys.readouterr().err == ""


def test_a_sweep_counts_images(capsys: pytest.CaptureFixture[str]) -> None:
    progress = StderrProgress()
    progress.begin(8)
    progress.advance(8)
    progress.end()
    assert capsys.readouterr().err.splitlines() == ["8/8 images"]


def test_hidden_progress_passes_on_what_a_user_must_know(
    capfd: pytest.CaptureFixture[str],
) -> None:
    notes: list[str] = []
    with hidden(notes.append):
        shown = StderrProgress()
        with waiting("loading"):
            shown.begin(2)
            shown.advance(2)
        shown.say("compiling")
        thread = threading.Thread(target=shown.note, args=["warning: from another thread"])
        thread.start()
        thread.join()
        shown.end()
        assert list(track([1, 2], "rows")) == [1, 2]
    assert notes == ["warning: from another thread"]
    assert capfd.readouterr() == ("", "")
    StderrProgress().note("shown again")
    assert "shown again" in capfd.readouterr().err


def test_hidden_progress_is_that_of_one_call(capfd: pytest.CaptureFixture[str]) -> None:
    """Two calls at once: each has its own notes, and one of them is shown."""
    meet = threading.Barrier(2, timeout=60)
    hidden_notes: list[str] = []

    def call(is_hidden: bool) -> None:
        with hidden(hidden_notes.append) if is_hidden else contextlib.nullcontext():
            meet.wait()  # both are inside
            StderrProgress().note(f"warning: hidden {is_hidden}")
            list(track([1], f"rows of {is_hidden}"))
            meet.wait()

    threads = [threading.Thread(target=call, args=[one]) for one in (True, False)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert hidden_notes == ["warning: hidden True"]
    err = capfd.readouterr().err.splitlines()
    assert sorted(err) == ["1/1 rows of False", "warning: hidden False"]


def test_a_thread_that_works_for_a_call_is_hidden_with_it() -> None:
    notes: list[str] = []

    def work() -> None:
        StderrProgress().note("from within")

    with hidden(notes.append):
        thread = threading.Thread(target=contextvars.copy_context().run, args=[work])
        thread.start()
        thread.join()
    assert notes == ["from within"]


def test_a_forked_process_shows_progress_while_a_thread_of_its_parent_has_the_lock() -> None:
    taken, done = threading.Event(), threading.Event()

    def hold() -> None:
        with progress._STDERR._lock:
            taken.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    taken.wait()
    child = os.fork()
    if not child:
        os._exit(list(track([1], "rows")) != [1])
    done.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
