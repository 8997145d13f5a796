"""``docs/json.md``, written from the dataclasses of the documents: ``make docs``."""

from __future__ import annotations

import ast
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from turbo_lab.documents.kinds import KINDS
from turbo_lab.untrusted.typed_json import is_inline, is_omitted

PAGE = Path(__file__).parent.parent.parent / "docs" / "json.md"
HEAD = """# JSON documents

Every command that prints a result takes `--json`. It then prints one JSON object on standard
output and nothing else there; progress and messages go to standard error. The object is called a
document. This page lists every document and every field. It is written from the code by
`make docs`.

- Each document starts with `schema` (an integer, now 1), `turbo_lab` (the version that wrote it)
  and `kind` (the command, as in the headings below).
- Field names are stable. New versions add fields; they do not rename or retype one.
- Times are in seconds, sizes in bytes, paths absolute, digests lower-case hex sha256.
- JSON has no infinity: a number may be the text `"inf"`, `"-inf"` or `"nan"`.
- A field that is *optional* is absent if there is nothing to say. A field that may be `null` is
  always present.
"""
_NAMES = {
    str: "text",
    bool: "true or false",
    int: "integer",
    float: "number",
    Path: "path",
    object: "any",
}


def page() -> str:
    """Return the text of ``docs/json.md``."""
    parts = [HEAD, _contents()]
    objects: dict[str, type] = {}
    for kind, cls in KINDS.items():
        parts.append(f"## {kind}\n\n{_about(cls)}{_table(cls)}")
        objects |= {one.__name__: one for one in objects_in(cls)}
    parts.append("## Objects\n\nObjects inside the documents, by name.")
    for name in sorted(objects):
        cls = objects[name]
        parts.append(f"### {name}\n\n{_about(cls)}{_table(cls)}")
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _contents() -> str:
    links = [f"[{kind}](#{kind.replace(' ', '-')})" for kind in KINDS]
    return textwrap.fill(" · ".join(links), 118, break_long_words=False, break_on_hyphens=False)


def _about(cls: type) -> str:
    text = re.sub(r"^The ``[^`]+`` document(: |\. ?)", "", inspect.cleandoc(cls.__doc__ or ""))
    return _plain(text[:1].upper() + text[1:]) + "\n\n" if text else ""


def _table(cls: type) -> str:
    lines = ["| field | type | meaning |", "| --- | --- | --- |"]
    lines += [f"| `{name}` | {kind} | {text} |" for name, kind, text in _rows(cls)]
    return "\n".join(lines)


def _rows(cls: type, optional: bool = False) -> Iterator[tuple[str, str, str]]:
    hints, texts = get_type_hints(cls), _field_texts(cls)
    for one in fields(cls):  # type: ignore[arg-type]
        of = hints[one.name]
        if is_inline(one):
            (inner,) = (kind for kind in get_args(of) or (of,) if kind is not NoneType)
            yield from _rows(inner, optional=NoneType in get_args(of))
            continue
        omitted = is_omitted(one)
        kind = _type(of).removesuffix(" or null") if omitted else _type(of)
        yield one.name, kind + (", optional" if omitted or optional else ""), texts[one.name]


def _type(of: Any) -> str:
    origin, arguments = get_origin(of), get_args(of)
    if origin in (Union, UnionType):
        kinds = [_type(kind) for kind in arguments if kind is not NoneType]
        return " or ".join([*kinds, *(["null"] if NoneType in arguments else [])])
    if origin is Literal:
        return " or ".join(f'`"{value}"`' for value in arguments)
    if origin is tuple:
        if arguments[1:] == (Ellipsis,):
            return f"list of {_type(arguments[0])}"
        return f"list of {len(arguments)}: {', '.join(_type(kind) for kind in arguments)}"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"object: {_type(arguments[1])} by key"
    if isinstance(of, type) and issubclass(of, Enum):
        return " or ".join(f'`"{member.value}"`' for member in of)
    if is_dataclass(of):
        name = of.__name__  # type: ignore[union-attr]
        return f"[{name}](#{name.lower()})"
    return _NAMES[of]


def objects_in(cls: type) -> Iterator[type]:
    """Yield every dataclass below one, also those of inline fields' fields."""
    hints = get_type_hints(cls)
    for one in fields(cls):  # type: ignore[arg-type]
        for found in _dataclasses_in(hints[one.name]):
            if not is_inline(one):
                yield found
            yield from objects_in(found)


def _dataclasses_in(of: Any) -> Iterator[type]:
    if is_dataclass(of) and isinstance(of, type):
        yield of
    for kind in get_args(of):
        yield from _dataclasses_in(kind)


def _field_texts(cls: type) -> dict[str, str]:
    """Return the docstring under each field of a dataclass."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for field, text in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
            assert isinstance(field.target, ast.Name) and isinstance(text.value, ast.Constant)
            found[field.target.id] = _plain(str(text.value.value)).replace("|", "\\|")
    return found


def _plain(text: str) -> str:
    """Return reStructuredText as Markdown, in one line per paragraph."""
    paragraphs = [" ".join(part.split()) for part in text.split("\n\n")]
    joined = "\n\n".join(paragraphs).replace("``", "`").replace("`None`", "`null`")
    return re.sub(r":\w+:`([^`]+)`", r"`\1`", joined)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"{PAGE}: written", file=sys.stderr)
