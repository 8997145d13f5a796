"""The shape of a JSON document: its fields and their types, against what a contract says.

A contract maps paths to types, as in ``documents.json``::

    "counts.requested": "integer"              a field of an object
    "cells[].cell_id": "string"                of every item of a list
    "cells[].metrics.*.value": "number|null"   of every value of a map whose keys are data
    "prompts.*[].0": "string"                  the first item of a list that is a tuple
    "cells[].load_s?": "number"                a field that some documents do not have
    "warnings": "list[string]"                 a list that may always be empty

Objects and lists on the way need no entry of their own unless they may be null
or absent. A number may be the string ``inf``, ``-inf`` or ``nan``: JSON has none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_NOT_FINITE = ("inf", "-inf", "nan")
_NAMES = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    type(None): "null",
    dict: "object",
    list: "list",
}


@dataclass
class Node:
    """One field of a contract."""

    types: list[str] = field(default_factory=list)
    """Type names, any of which will do; empty: an object or a list, as its children need."""
    is_optional: bool = False
    """Some documents do not have it."""
    children: dict[str, Node] = field(default_factory=dict)
    """By key, ``[]``, ``*`` or index."""


def differences(document: Any, contract: Mapping[str, str]) -> list[str]:
    """Return one line per field that is missing or of another type. New fields are none."""
    return [line for line, _ in _walk(document, _tree(contract), "", "") if line]


def unreached(documents: Sequence[Any], contract: Mapping[str, str]) -> set[str]:
    """Return the contract's paths that no document has a value at: nothing tests them."""
    tree = _tree(contract)
    reached = {path for one in documents for _, path in _walk(one, tree, "", "")}
    return {path.replace("?", "") for path in contract} - reached


def _tree(contract: Mapping[str, str]) -> Node:
    root = Node()
    for path, types in contract.items():
        node = root
        for token in re.findall(r"\[\]|[^.\[\]]+", path):
            node = node.children.setdefault(token.removesuffix("?"), Node())
            node.is_optional |= token.endswith("?")
        node.types = types.split("|")
    return root


def _walk(value: Any, node: Node, path: str, place: str) -> Iterator[tuple[str, str]]:
    """Yield (problem or nothing, path) of a value and all below it; ``place`` is for people."""
    types = node.types or ["list" if {"[]", "0"} & set(node.children) else "object"]
    if not any(_fits(value, name) for name in types):
        yield f"{place or 'document'}: is {_name(value)}, not {' or '.join(types)}", path
        return
    yield "", path
    for token, child in node.children.items() if isinstance(value, (dict, list)) else ():
        below = f"{path}{token}" if token == "[]" else f"{path}.{token}".lstrip(".")
        found = list(_items(value, token))
        if not found and token not in ("[]", "*") and not child.is_optional:
            yield f"{place}.{token}".lstrip(".") + ": is missing", below
        for key, item in found:
            where = f"{place}[{key}]" if isinstance(value, list) else f"{place}.{key}".lstrip(".")
            yield from _walk(item, child, below, where)


def _items(value: Any, token: str) -> Iterator[tuple[Any, Any]]:
    if token == "[]":
        yield from enumerate(value)
    elif token == "*":
        yield from value.items()
    elif isinstance(value, list):
        yield from list(enumerate(value))[int(token) : int(token) + 1]
    elif token in value:
        yield token, value[token]


def _fits(value: Any, name: str) -> bool:
    if name == "any":
        return True
    if name == "number":
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return is_number or value in _NOT_FINITE
    if items := re.fullmatch(r"list\[(\w+)\]", name):
        return isinstance(value, list) and all(_fits(item, items[1]) for item in value)
    return _name(value) == name


def _name(value: Any) -> str:
    return _NAMES[type(value)]
