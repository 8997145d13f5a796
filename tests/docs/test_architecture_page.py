"""Every file and name in the way of a cell and the recipes of docs/architecture.md exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs import json_page
from turbo_lab.documents.kinds import KINDS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
SECTIONS = ("The way of one cell", "Where does my change go?")
PATH = re.compile(r"(?:[\w.-]+/)+(?:[\w-]+\.\w+)?")
# Classes and constants, and functions and fields of several words.
NAME = re.compile(r"_?[A-Z]\w+|_?[a-z]+(_[a-z]+)+")


def section(title: str) -> str:
    """Return the text below a heading of the second level."""
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def steps() -> list[str]:
    """Return the steps and paragraphs of the sections, each on one line."""
    found: list[str] = []
    for line in "".join(map(section, SECTIONS)).splitlines():
        if re.match(r"\d\. ", line) or not line.startswith("  ") or not found:
            found.append(line)
        else:
            found[-1] += " " + line.strip()
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
    """Return the names of a step that are in none of its Python files."""
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
    titles = re.findall(r"^### (.+)$", section(SECTIONS[1]), flags=re.M)
    assert {"Add a metric", "Add a command", "Allow a scheduler", "Add a fault"} <= set(titles)
    assert len([path for step in steps() for path in paths(step)]) > 30


def test_every_dataclass_of_a_document_outside_documents_is_named() -> None:
    recipe = PAGE.partition("### Add a field to a JSON document")[2].partition("\n### ")[0]
    parts = {one for kind in KINDS.values() for one in (kind, *json_page.objects_in(kind))}
    elsewhere = {one for one in parts if ".documents." not in one.__module__}
    assert elsewhere
    assert {one.__name__ for one in elsewhere} - set(quoted(recipe)) == set()


def test_every_step_of_a_cell_names_a_file() -> None:
    way = [line for line in steps() if "**" in line]
    assert len(way) == 9
    assert [step for step in way if not any(path.endswith(".py") for path in paths(step))] == []


@pytest.mark.parametrize(
    ("step", "gone"),
    [
        ("1. `turbo_lab/request/spec.py`: a field.", ["turbo_lab/request/spec.py"]),
        ("1. `turbo_lab/none/`: a field.", ["turbo_lab/none/"]),
        ("1. `turbo_lab/request/request.py`: a field of `Spec`, `Request`.", ["Spec"]),
        ("1. `turbo_lab/store/store.py`: `commit_all`, `commit_batch`.", ["commit_all"]),
        ("1. `turbo_lab/planning/work.py`: in `_EQUAL`.", ["_EQUAL"]),
    ],
)
def test_this_test_can_fail(step: str, gone: list[str]) -> None:
    assert [*missing_paths(step), *missing_names(step)] == gone
