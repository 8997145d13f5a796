"""``turbo-lab history show``: its table, its files and its exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.history.entries import entries, stepped
from turbo_lab.cli.main import main
from turbo_lab.history.file import append


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a history whose latency grows."""
    monkeypatch.chdir(tmp_path)
    append(Path("turbo-lab-history.jsonl"), entries(stepped()))
    return tmp_path


def test_a_change_is_shown_with_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", "show"]) == 0
    shown = capsys.readouterr().out
    assert "latency" in shown and "+20.0% worse" in shown
    assert "step at f100000000, 2026-07-01: +20.0% worse, 50 ms to 60 ms" in shown
    assert "40 entries, 1 figure: 1 changed, 1 for the worse." in shown


def test_the_exit_code_says_that_a_figure_got_worse(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", "show", "--exit-code"]) == 1
    assert main(["history", "show", "--exit-code", "--since", "2026-07-01"]) == 0
    capsys.readouterr()
    assert main(["history", "show", "--exit-code", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["series"][0]["changes"][0]["is_worse"] is True


def test_files_for_people_and_dashboards() -> None:
    words = ["--html", "a/page.html", "--openmetrics", "a/om.txt", "--bencher", "a/b.json"]
    assert main(["history", "show", *words]) == 0
    assert Path("a/page.html").read_text().startswith("<!doctype html>")
    assert Path("a/om.txt").read_text().endswith("# EOF\n")
    assert json.loads(Path("a/b.json").read_text())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none.jsonl"], "none.jsonl: does not exist"),
        (["--since", "2030-01-01"], "since=2030-01-01: the last entry is of"),
        (["--figure", "fid"], "figure=fid: unknown"),
        (["--level", "0"], "--level"),
        (["--html", "."], "."),
    ],
)
def test_what_cannot_be_shown(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["history", "show", *words]) == 2
    assert message in capsys.readouterr().err
