"""``turbo-lab init``: what it says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from turbo_lab.cli.main import main


def test_files_and_next_commands_are_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", "--folder", str(tmp_path / "new")]) == 0
    shown = capsys.readouterr().out
    assert f"wrote           {tmp_path / 'new' / 'goldens' / 'cases.json'}\n" in shown
    assert "next:\n  turbo-lab golden record --config-dir turbo-lab\n" in shown


def test_json_names_the_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "nano-lcm", "--name", "ours", "--folder", str(tmp_path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["kind"], document["name"], document["model"]) == ("init", "ours", "nano-lcm")
    assert all((tmp_path / name).is_file() for name in document["files"])
