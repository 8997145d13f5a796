"""The files that users copy into their CI: well formed, and every command in them composes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from turbo_lab import config
from turbo_lab.api.sides import split_sides
from turbo_lab.cli.commands import COMMANDS
from turbo_lab.compare.sides import SIDES
from turbo_lab.gate.policy import Policy

ROOT = Path(__file__).parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def steps(path: Path) -> list[dict[str, Any]]:
    jobs = yaml.safe_load(path.read_text())["jobs"]
    return [step for job in jobs.values() for step in job["steps"]]


def commands(path: Path) -> list[list[str]]:
    """Words of every turbo-lab command, the shell's variables replaced."""
    texts = [str(step.get("run", "")) for step in steps(path)]
    lines = [line for text in texts for line in text.splitlines() if line.startswith("turbo-lab ")]
    return [shlex.split(re.sub(r"\$[A-Z]+", "FILE", line))[1:] for line in lines]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_gate_in_a_workflow_composes(path: Path) -> None:
    found = commands(path)
    assert any(words[0] == "gate" for words in found)
    for command, *words in found:
        assert command in COMMANDS
        keys = [word for word in words if "=" in word]
        if command == "gate":
            for side in SIDES:
                (point,) = config.compose("gate", split_sides(keys).of(side))
                assert Policy.from_config(point.values["gate"]).licenses


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_inputs_reach_the_shell_by_the_environment_alone(path: Path) -> None:
    """Text of a user in a script is a script."""
    for step in steps(path):
        assert "${{" not in str(step.get("run", ""))


def test_the_hook_runs_a_command_that_is_there() -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    name, command, *rest = hook["entry"].split()
    assert (name, command in COMMANDS, rest) == ("turbo-lab", True, ["check"])
    pattern = re.compile(hook["files"])
    for path in ("goldens/a/golden.json", "conf/model/x.yaml", "pyproject.toml", "a/b.py"):
        assert pattern.search(path), path
    assert not pattern.search("README.md")
