"""Whoever waits sees how far it is: on standard error, and nowhere else."""

from __future__ import annotations

import threading

import pytest

from turbo_lab.progress import StderrProgress, track, waiting


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


def test_long_work_in_one_piece_says_that_it_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    shown = threading.Event()
    with waiting("loading", first_s=0.0, every_s=60.0):
        while not shown.is_set():
            lines = capsys.readouterr().err.splitlines()
            if lines:
                shown.set()
    assert lines == ["loading: 0 s so far"]
    assert capsys.readouterr().err.splitlines() == ["loading: 0 s"]


def test_short_work_says_nothing_and_an_error_goes_through(
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = threading.active_count()
    with pytest.raises(RuntimeError, match="broken"), waiting("loading", first_s=60.0):
        raise RuntimeError("broken")
    assert capsys.readouterr().err == "" and threading.active_count() == before


def test_nothing_to_do_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(track((), "faults")) == []
    assert capsys.readouterr().err == ""


def test_a_sweep_counts_images(capsys: pytest.CaptureFixture[str]) -> None:
    progress = StderrProgress()
    progress.begin(8)
    progress.advance(8)
    progress.end()
    assert capsys.readouterr().err.splitlines() == ["8/8 images"]
