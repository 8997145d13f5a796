"""The option ``--history``: checked before any work, written after it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.history.test_figures import BENCH, FAILED
from turbo_lab.cli.keep import check_history, keep
from turbo_lab.cli.main import main
from turbo_lab.history.file import read


def test_a_document_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    check_history(path)
    assert not path.exists()
    keep(path, BENCH)
    assert read(path)[0].figures
    keep(None, BENCH)
    check_history(None)


def test_nothing_measured_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "history.jsonl"
    keep(path, replace(BENCH, cells=(FAILED,)))
    assert "nothing was measured, so nothing is added" in capsys.readouterr().err
    assert not path.exists()


@pytest.mark.parametrize(
    "words", [["bench", "num_images=1"], ["gate", "gate=release"], ["golden", "check"]]
)
def test_a_damaged_history_costs_no_work(
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("history.jsonl").write_text('{"id": 1')
    assert main([*words, "--history", "history.jsonl"]) == 2
    assert "history.jsonl: line 1 is cut off" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["history.jsonl"]


@pytest.mark.slow
def test_three_commands_keep_what_they_measure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    here = ["device=cpu", "num_threads=1"]
    bench = ["bench", "num_images=1", "timing=short", *here, "--history", "history.jsonl"]
    assert main(bench) == 0
    assert main(["golden", "check", "nano-turbo-1-step", *here, "--history", "history.jsonl"]) == 0
    pair = ["bench", "nano-turbo", "nano-turbo", "num_images=1", "timing=short", *here]
    assert main([*pair, "--history", "history.jsonl"]) == 0
    sources = [
        (one.source, [f.name for f in one.figures][:2]) for one in read(Path("history.jsonl"))
    ]
    assert sources == [
        ("bench", ["latency", "first_call"]),
        ("golden check", ["goldens passing", "goldens identical"]),
        ("bench pair", ["latency ratio", "latency"]),
    ]
    capsys.readouterr()
    assert main(["history", "show", "history.jsonl"]) == 0
    assert "3 entries" in capsys.readouterr().out
