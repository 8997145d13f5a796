"""The files that users copy into their CI: well formed, and every command in them composes."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from turbo_lab import config
from turbo_lab.api.sides import split_sides
from turbo_lab.cli.commands import COMMANDS
from turbo_lab.cli.gate import run as gate_run
from turbo_lab.cli.golden import check as golden_check
from turbo_lab.compare.sides import SIDES
from turbo_lab.gate.policy import Policy
from turbo_lab.report.github import comment, comment_mark

ROOT = Path(__file__).parent.parent
WORKFLOWS = [
    *sorted((ROOT / ".github" / "workflows").glob("*.yml")),
    ROOT / "docs" / "ci" / "release.yml",
]


def steps(path: Path) -> list[dict[str, Any]]:
    jobs = yaml.safe_load(path.read_text())["jobs"]
    return [step for job in jobs.values() for step in job["steps"]]


def commands(path: Path) -> list[list[str]]:
    """Words of every turbo-lab command, the shell's variables replaced."""
    texts = [str(step.get("run", "")) for step in steps(path)]
    lines = [line for text in texts for line in text.splitlines()]
    found = [line for line in lines if re.match(r"(\.venv/bin/)?turbo-lab ", line)]
    return [shlex.split(re.sub(r"\$[A-Z]+", "FILE", line))[1:] for line in found]


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


STEPS = {
    str(step.get("id")): step
    for step in yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"]
}
# Prints its arguments, one per line, and writes the file that --comment names.
FAKE_LAB = """#!/bin/bash
printf '%s\\n' "$@" >> "$CALLS"
echo -- >> "$CALLS"
"""
# Lists two comments, and keeps what it is asked to send.
FAKE_GH = """#!/bin/bash
printf '%s ' "$@" >> "$CALLS"
echo >> "$CALLS"
[[ "$*" == *--paginate* ]] && printf '7\\t<!-- another -->\\n%s' "$COMMENTS"
exit 0
"""


@pytest.fixture
def runner(tmp_path: Path) -> Callable[..., list[str]]:
    """Run a step of the action as GitHub does; returns the calls of turbo-lab and gh."""
    for name, text in {"turbo-lab": FAKE_LAB, "gh": FAKE_GH}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)

    def run(script: str, **variables: str) -> list[str]:
        calls = tmp_path / "calls"
        calls.write_text("")
        (tmp_path / "step.sh").write_text(script)
        path = f"{tmp_path}:/usr/bin:/bin"
        subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "step.sh"],
            env={"PATH": path, "CALLS": str(calls), "FOLDER": "out", **variables},
            cwd=tmp_path,
            check=True,
        )
        return calls.read_text().splitlines()

    return run


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", []),
        ("gate=release", ["gate=release"]),
        (
            "gate=release  \"prompts.path='my prompts.tsv'\"",
            ["gate=release", "prompts.path='my prompts.tsv'"],
        ),
        (
            "$(touch hacked) `touch hacked`; touch hacked",
            ["$(touch", "hacked)", "`touch", "hacked`;", "touch", "hacked"],
        ),
    ],
)
def test_the_actions_words_are_split_and_never_run(
    words: str, expected: list[str], runner: Callable[..., list[str]], tmp_path: Path
) -> None:
    for name, command in (("gate", ["gate"]), ("goldens", ["golden", "check", "--explain"])):
        calls = runner(STEPS[name]["run"], WORDS=words)
        assert calls[: len(command) + len(expected)] == [*command, *expected]
        assert calls[len(command) + len(expected)] == "--html"
    assert not (tmp_path / "hacked").exists()


def test_the_actions_commands_take_these_options() -> None:
    for name, module in (("gate", gate_run), ("goldens", golden_check)):
        taken = {option for one in module.command.params for option in one.opts}
        assert set(re.findall(r"--[a-z-]+", STEPS[name]["run"])) <= taken


def test_a_comment_is_updated_where_there_is_one(
    runner: Callable[..., list[str]], tmp_path: Path
) -> None:
    (step,) = (
        step
        for step in yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"]
        if "gh api" in str(step.get("run"))
    )
    variables = {"REPOSITORY": "a/b", "NUMBER": "5", "COMMENTS": ""}
    assert runner(step["run"], **variables) == []  # the gate wrote no comment
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "comment.md").write_text(comment("gate release", "## pass\n"))
    new = runner(step["run"], **variables)
    assert (
        new[-1]
        == "api --silent --method POST repos/a/b/issues/5/comments --field body=@out/comment.md "
    )
    there = f"9\t{comment_mark('gate release')}\n"
    old = runner(step["run"], **(variables | {"COMMENTS": there}))
    assert (
        old[-1]
        == "api --silent --method PATCH repos/a/b/issues/comments/9 --field body=@out/comment.md "
    )


def test_expressions_reach_the_actions_shell_by_the_environment_alone() -> None:
    for step in yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"]:
        assert "${{" not in str(step.get("run", ""))


def test_the_job_for_gitlab_runs_commands_that_are_there() -> None:
    job = yaml.safe_load((ROOT / "docs" / "ci" / "gitlab.yml").read_text())["turbo-lab"]
    for line in job["script"][:2]:
        name, command, *rest = shlex.split(line.split("||")[0])
        assert (name, command in COMMANDS) == ("turbo-lab", True)
        module = gate_run if command == "gate" else golden_check
        taken = {option for one in module.command.params for option in one.opts}
        assert {word for word in rest if word.startswith("--")} <= taken
    assert job["artifacts"]["reports"]["junit"] == "report/*.xml"


def test_the_hook_runs_a_command_that_is_there() -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    name, command, *rest = hook["entry"].split()
    assert (name, command in COMMANDS, rest) == ("turbo-lab", True, ["check"])
    pattern = re.compile(hook["files"])
    for path in ("goldens/a/golden.json", "conf/model/x.yaml", "pyproject.toml", "a/b.py"):
        assert pattern.search(path), path
    assert not pattern.search("README.md")
