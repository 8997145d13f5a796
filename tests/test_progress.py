"""Whoever waits sees how far it is: on standard error, and nowhere else."""

from __future__ import annotations

import pytest

from turbo_lab.progress import StderrProgress, track


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


def test_nothing_to_do_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(track((), "faults")) == []
    assert capsys.readouterr().err == ""


def test_a_sweep_counts_images(capsys: pytest.CaptureFixture[str]) -> None:
    progress = StderrProgress()
    progress.begin(8)
    progress.advance(8)
    progress.end()
    assert capsys.readouterr().err.splitlines() == ["8/8 images"]
