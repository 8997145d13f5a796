"""Every file and name in "Where does my change go?" of docs/architecture.md exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
RECIPES = PAGE.partition("## Where does my change go?")[2].partition("\n## ")[0]
PATH = re.compile(r"(?:[\w.-]+/)+(?:[\w-]+\.\w+)?")
NAME = re.compile(r"[A-Z]\w+")


def steps() -> list[str]:
    """Return the steps and paragraphs of all recipes, each on one line."""
    found: list[str] = []
    for line in RECIPES.splitlines():
        if re.match(r"\d\. ", line) or not line.startswith("   ") or not found:
            found.append(line)
        else:
            found[-1] += line[2:]
    return found


def quoted(step: str) -> list[str]:
    """Return the texts between backticks."""
    return re.findall(r"`([^`]+)`", step)


def paths(step: str) -> list[str]:
    """Return the files and folders that a step names, without placeholders."""
    return [text for text in quoted(step) if PATH.fullmatch(text) and "NAME" not in text]


def missing_paths(step: str) -> list[str]:
    """Return the paths of a step that do not exist."""
    return [text for text in paths(step) if not (ROOT / text).exists()]


def missing_names(step: str) -> list[str]:
    """Return the classes and constants of a step that are in none of its Python files."""
    named = [ROOT / path for path in paths(step) if path.endswith(".py")]
    files = [file for file in named if file.exists()]
    code = "\n".join(file.read_text("utf-8") for file in files)
    names = [text for text in quoted(step) if NAME.fullmatch(text)]
    return [name for name in names if files and not re.search(rf"\b{name}\b", code)]


@pytest.mark.parametrize("step", steps())
def test_files_and_names_of_a_step_exist(step: str) -> None:
    assert missing_paths(step) == []
    assert missing_names(step) == []


def test_the_recipes_name_files() -> None:
    titles = re.findall(r"^### (.+)$", RECIPES, flags=re.M)
    assert {"Add a metric", "Add a command", "Allow a scheduler", "Add a fault"} <= set(titles)
    assert len([path for step in steps() for path in paths(step)]) > 30


@pytest.mark.parametrize(
    ("step", "gone"),
    [
        ("1. `turbo_lab/request/spec.py`: a field.", ["turbo_lab/request/spec.py"]),
        ("1. `turbo_lab/none/`: a field.", ["turbo_lab/none/"]),
        ("1. `turbo_lab/request/request.py`: a field of `Spec`, `Request`.", ["Spec"]),
    ],
)
def test_this_test_can_fail(step: str, gone: list[str]) -> None:
    assert [*missing_paths(step), *missing_names(step)] == gone
