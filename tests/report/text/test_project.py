"""The commands that follow a new project."""

from __future__ import annotations

from pathlib import Path

import pytest

from turbo_lab.documents.results import ProjectStarted
from turbo_lab.report.text.project import next_commands, print_project

STARTED = ProjectStarted(Path("/a"), "ours", "mine", ("goldens/cases.json",))


def test_each_file_and_each_command_has_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_project(STARTED)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == ["wrote           /a/goldens/cases.json", "", "next:"]
    assert [line.strip() for line in lines[3:]] == next_commands(STARTED)
    assert "turbo-lab gate --config-dir turbo-lab gate=ours model=mine" in next_commands(STARTED)
