"""Words that a native reader stumbles over stay out of messages and docstrings."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "turbo_lab"
RETIRED = re.compile(
    r"\b(told|in hand|whoever|whatever|anew|beside|besides|what must not)\b"
    r"|(?<!there )\b(is|are) no (?!longer)[a-z]",
    flags=re.IGNORECASE,
)


def texts(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of every string of several words, docstrings included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield node.lineno, node.value


def retired(name: str, tree: ast.Module) -> list[str]:
    """Return where a module uses a retired word."""
    return [
        f"{name}:{line}: {found.group()}"
        for line, text in texts(tree)
        for found in RETIRED.finditer(" ".join(text.split()))
    ]


def test_no_retired_word_in_messages_and_docstrings() -> None:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        name = str(path.relative_to(PACKAGE))
        found += retired(name, ast.parse(path.read_text(encoding="utf-8")))
    assert found == []


@pytest.mark.parametrize(
    "text", ["is no store; name it", "Told of each cell.", "drawn anew", "a folder beside it"]
)
def test_the_guard_can_fail(text: str) -> None:
    assert len(retired("here", ast.parse(f"raise ValueError(f'{text} {{1}}')"))) == 1


def test_ordinary_words_pass() -> None:
    assert retired("here", ast.parse("'there is no such file; one besieged town'")) == []
