"""The glossary of docs/architecture.md names what exists, once, in words that are not retired."""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import cache

import pytest

from tests.docs.test_architecture_page import ROOT, section
from tests.test_language import PACKAGE, RETIRED
from turbo_lab.store.record import Exactness
from turbo_lab.verdict import Verdict

GLOSSARY = section("Words").partition("\n### ")[0]


def rows(text: str) -> list[tuple[str, str]]:
    """Return the word and the meaning of every row."""
    cells = [line.strip("| ").split(" | ", 1) for line in text.splitlines() if line[:1] == "|"]
    return [(cell[0], cell[1]) for cell in cells if cell[0] not in ("word", "---")]


def defined(text: str) -> list[str]:
    """Return the defined words: the first column, and what is bold in a meaning."""
    found = [re.findall(r"\*\*(.+?)\*\*", meaning) for _, meaning in rows(text)]
    return [word for word, _ in rows(text)] + [word for bold in found for word in bold]


def listed_twice(text: str) -> list[str]:
    return [word for word, times in Counter(defined(text)).items() if times > 1]


@cache
def names_in_package() -> frozenset[str]:
    """Return every identifier and every text in the package's code."""
    found: set[str] = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Name):
                found.add(node.id)
            elif isinstance(node, ast.ClassDef | ast.FunctionDef):
                found.add(node.name)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    return frozenset(found)


def unknown_code(text: str) -> list[str]:
    """Return the code names that are neither a path nor a name in the package.

    ``unet.k`` stands for every text that starts with ``unet.``.
    """
    quoted = [name for _, meaning in rows(text) for name in re.findall(r"`([^`]+)`", meaning)]
    return [
        name
        for name in quoted
        if re.sub(r"\.k$", ".", name) not in names_in_package()
        and not ("/" in name and (ROOT / name).exists())
    ]


def retired_words(text: str) -> list[str]:
    lines = (f"{word} {meaning}" for word, meaning in rows(text))
    return [found.group() for line in lines for found in RETIRED.finditer(line)]


def test_every_code_name_exists() -> None:
    assert unknown_code(GLOSSARY) == []


def test_every_word_is_listed_once() -> None:
    assert listed_twice(GLOSSARY) == []
    assert len(rows(GLOSSARY)) > 30


def test_no_entry_uses_a_retired_word() -> None:
    assert retired_words(GLOSSARY) == []


@pytest.mark.parametrize(
    ("word", "kind"), [("verdict", Verdict), ("exactness", Exactness)], ids=["verdict", "exactness"]
)
def test_values_are_those_of_the_code(word: str, kind: type[Verdict | Exactness]) -> None:
    (meaning,) = (meaning for one, meaning in rows(GLOSSARY) if one == word)
    assert set(re.findall(r"`([^`]+)`", meaning)) == {str(value) for value in kind}


def test_these_tests_can_fail() -> None:
    text = """
| word | meaning |
| --- | --- |
| cell | A `Recipe`, a `Blueprint` or `conf/none/`. Its **seed** is `unet.k` or `net.k`. |
| seed | A number beside the cell; `pass`. |
"""
    assert unknown_code(text) == ["Blueprint", "conf/none/", "net.k"]
    assert listed_twice(text) == ["seed"]
    assert retired_words(text) == ["beside"]
