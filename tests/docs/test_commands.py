"""Every ``turbo-lab`` line in the documents names a command and keys that exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.docs.test_pages import PAGES, ROOT
from turbo_lab import config
from turbo_lab.cli.main import main

# Keys of single commands, which are not in conf/.
OF_A_COMMAND = {"baselines", "published"}
SIDES = ("candidate.", "baseline.")


def command_lines(path: Path) -> list[list[str]]:
    """Words of every command in the page's code blocks, without comments."""
    blocks = re.findall(r"^ *```\w*\n(.*?)^ *```", path.read_text("utf-8"), flags=re.M | re.S)
    lines = [line.strip() for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [shlex.split(line, comments=True) for line in lines if line.startswith("turbo-lab ")]


def unknown_keys(words: list[str]) -> list[str]:
    """``KEY=VALUE`` words whose key no command takes."""
    plain = [word for word in words if re.match(r"[a-z_.]+=", word)]
    for side in SIDES:
        plain = [word.removeprefix(side) for word in plain]
    roots = {word: word.split("=")[0] for word in plain}
    return [word for word in plain if not config.is_key(word) and roots[word] not in OF_A_COMMAND]


WITH_COMMANDS = [path for path in PAGES if command_lines(path)]


def test_there_are_pages_with_commands() -> None:
    assert {"README.md", "tutorial.md", "gate.md"} <= {path.name for path in WITH_COMMANDS}


@pytest.mark.parametrize("path", WITH_COMMANDS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_and_keys_exist(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = command_lines(path)
    for command in {words[1] for words in lines}:
        assert main([command, "--help"]) == 0, command
    assert [word for words in lines for word in unknown_keys(words[2:])] == []


def test_an_unknown_key_is_found() -> None:
    words = ["candidate.dtyp=float16", "seed=3", "baselines=nano-sdxl", "baseline.model.path=X"]
    assert unknown_keys(words) == ["dtyp=float16"]
