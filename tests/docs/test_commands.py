"""Every ``turbo-lab`` command in the documents parses, and its keys and values compose."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import click
import pytest

from tests.docs.test_pages import PAGES, ROOT, prose
from turbo_lab import config
from turbo_lab.api.sides import split_sides
from turbo_lab.cards import conf_dir
from turbo_lab.cli.main import main
from turbo_lab.compare.sides import SIDES
from turbo_lab.errors import InputError

# Keys of `compare` alone, which are not in conf/.
OF_COMPARE = ("baselines=", "published=")
# These take the policy `release` if none is named.
PICK_A_POLICY = (("gate", "calibrate"), ("gate", "mutate"))
KEY = re.compile(r"([a-z_]\w*)[\w.]*=(?!=)")
GROUPS = {path.name for path in conf_dir().iterdir() if path.is_dir()}


def commands(path: Path) -> list[tuple[str, ...]]:
    """Words after ``turbo-lab`` of every command in a page's code blocks and code marks."""
    text = path.read_text("utf-8")
    blocks = re.findall(r"^ *```\w*\n(.*?)^ *```", text, flags=re.M | re.S)
    lines = [line.strip() for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    marked = [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", prose(path))]
    found = [line for line in [*lines, *marked] if line.startswith("turbo-lab ")]
    return list(dict.fromkeys(tuple(shlex.split(line, comments=True)[1:]) for line in found))


# The changelog may speak of commands that are gone.
WITH_COMMANDS = [path for path in PAGES if path.name != "CHANGELOG.md" and commands(path)]


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[click.Context]:
    """Keep commands from running; returns the list of what they would run with."""
    contexts: list[click.Context] = []
    monkeypatch.setattr(click.Command, "invoke", lambda _, context: contexts.append(context))
    return contexts


def compose(words: Sequence[str]) -> None:
    """Compose what the words name in ``conf/``, of each side by itself."""
    pairs = [word for word in words if KEY.match(word) and not word.startswith(OF_COMPARE)]
    if tuple(words[:2]) in PICK_A_POLICY and not any(w.startswith("gate=") for w in pairs):
        pairs.append("gate=release")
    sides = split_sides(pairs)
    for side in SIDES:
        assert [word for word in sides.of(side) if not config.is_key(word)] == []
        compose_groups(frozenset(word for word in sides.of(side) if KEY.match(word)[1] in GROUPS))


@cache  # a composition takes 0.2 s
def compose_groups(words: frozenset[str]) -> None:
    """Compose the words of config groups: these have choices and keys of their own."""
    assert config.compose("", sorted(words, key=lambda word: "." in word.split("=")[0]))


def test_there_are_pages_with_commands() -> None:
    assert {"README.md", "tutorial.md", "gate.md"} <= {path.name for path in WITH_COMMANDS}
    assert sum(len(commands(path)) for path in WITH_COMMANDS) > 100


@pytest.mark.parametrize("path", WITH_COMMANDS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_parse_and_compose(
    path: Path, parsed: list[click.Context], capsys: pytest.CaptureFixture[str]
) -> None:
    for words in commands(path):
        code = main(words)
        assert (code, capsys.readouterr().err) == (0, ""), words
        assert "--help" in words or parsed[-1].parent is not None, f"{words}: no command"
        compose(words)


def test_wrong_commands_are_found(
    parsed: list[click.Context], capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (["sweeep"], ["golden", "chek"], ["gate", "--htm", "x"], ["show"]):
        assert main(words) == 2
    with pytest.raises(AssertionError, match="dtyp=float16"):
        compose(["candidate.dtyp=float16"])
    with pytest.raises(InputError, match="pipeline=slow"):
        compose(["pipeline=slow"])
    with pytest.raises(InputError, match="nams"):
        compose(["metrics.nams=kid"])
