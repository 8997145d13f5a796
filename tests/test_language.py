"""Words that a native reader stumbles over stay out of messages, docstrings and comments."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "turbo_lab"
RETIRED = re.compile(
    r"\b(told|in hand|whoever|whatever|anew|beside|besides|what must not|behind it|lies)\b"
    r"|(?<!there )\b(is|are) no (?!longer)[a-z]"
    r"|\bstands\b(?! (for|in)\b)"
    # "holds" as "is valid"; a file that holds images, or a process that holds a lock, may.
    r"|\b(it|this|that|still|also|claim|rule|order|promise) holds?"
    r"(?=[.;,)]|$| (for|if|when)\b)",
    flags=re.IGNORECASE,
)
OWN = re.compile(r"\bof (its|their) own\b", flags=re.IGNORECASE)
NO_NOUN = re.compile(r"\s*(of|by|what|whether|told)\b", flags=re.IGNORECASE)


def modules() -> Iterator[tuple[str, str]]:
    """Yield the name and the source of every module."""
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE).as_posix(), path.read_text(encoding="utf-8")


def texts(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of every string of several words, docstrings included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield node.lineno, node.value


def comments(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of every comment; lines that follow each other are one."""
    start, end, parts = 0, 0, list[str]()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        if parts and token.start[0] != end + 1:
            yield start, " ".join(parts)
            parts = []
        start, end = (start if parts else token.start[0]), token.start[0]
        parts.append(token.string.lstrip("#").strip())
    if parts:
        yield start, " ".join(parts)


def docstrings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the docstrings of modules, classes, functions and fields."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)  # a list, but for a lambda or a conditional expression
        for one in body if isinstance(body, list) else ():
            match one:
                case ast.Expr(value=ast.Constant(value=str(text))):
                    yield one.lineno, text


def retired(name: str, source: str) -> list[str]:
    """Return where a module uses a retired word."""
    strings = list(texts(ast.parse(source)))
    places = [
        (RETIRED, strings),
        (RETIRED, list(comments(source))),
        (OWN, strings),
        (OWN, list(comments(source))),
    ]
    return [
        f"{name}:{line}: {found.group()}"
        for pattern, found_texts in places
        for line, text in found_texts
        for found in pattern.finditer(" ".join(text.split()))
    ]


def without_noun(name: str, source: str) -> list[str]:
    """Return the docstrings that start with neither a verb nor a noun."""
    found = docstrings(ast.parse(source))
    return [f"{name}:{line}: {text[:40]}" for line, text in found if NO_NOUN.match(text)]


def test_no_retired_word_in_messages_docstrings_and_comments() -> None:
    assert [place for name, source in modules() for place in retired(name, source)] == []


def test_every_docstring_starts_with_a_verb_or_a_noun() -> None:
    found = [place for name, source in modules() for place in without_noun(name, source)]
    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        "is no store; name it",
        "Told of each cell.",
        "drawn anew",
        "a folder beside it",
        "the lock behind it",
        "where it stands",
        "the file lies there",
        "a sampler of its own",
        "the rule holds for all",
        "where it still holds.",
    ],
)
def test_the_guard_can_fail(text: str) -> None:
    assert len(retired("here", f"raise ValueError(f'{text} {{1}}')")) == 1


def test_the_guard_of_comments_can_fail() -> None:
    assert retired("here", "# Of one thing: what\n# must not matter.\n\n# Fine.\n") == [
        "here:1: what must not"
    ]


@pytest.mark.parametrize(
    "source",
    [
        '"""What is kept."""',
        'class A:\n    """Of a cell."""',
        'class A:\n    x: int\n    """Whether it is x."""',
        'def f():\n    """Told of it."""',
    ],
)
def test_the_guard_of_docstrings_can_fail(source: str) -> None:
    assert len(without_noun("here", source)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "there is no such file; one besieged town",
        "the empty name stands for every part",
        "the file holds images; no process holds its lock, or that hold it",
    ],
)
def test_ordinary_words_pass(text: str) -> None:
    assert retired("here", f"'{text}'") == []
