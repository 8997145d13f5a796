"""Dataclasses as JSON documents, and back.

A document is described by frozen dataclasses whose fields carry the names of the JSON fields.
Owns the one way from such an object to JSON, and the one way back. Refuses a field that is
missing or of another type; ignores fields that it does not know, because later versions add some.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from types import MappingProxyType, NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from turbo_lab.errors import StoreError
from turbo_lab.store import record as records

T = TypeVar("T")
_NAMES = {
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    Path: "a path",
}


OMITTED = MappingProxyType({"json": "omitted"})
"""Metadata of a field that is absent from the JSON object while it is ``None``."""
INLINE = MappingProxyType({"json": "inline"})
"""Metadata of a field whose own fields stand in the JSON object in its place; none if ``None``."""


def is_omitted(one: Field[Any]) -> bool:
    """Return whether a field is absent from the JSON object while it is ``None``."""
    return one.metadata == OMITTED


def is_inline(one: Field[Any]) -> bool:
    """Return whether a field's own fields stand in the JSON object in its place."""
    return one.metadata == INLINE


def to_document(kind: str, value: object) -> dict[str, Any]:
    """Return a dataclass as a JSON document: its fields after ``schema``, ``turbo_lab``, ``kind``.

    ``models show`` has a field ``kind``, which takes the place of the document's.
    """
    return records.document(kind, to_plain(value))


def to_plain(value: object) -> Any:
    """Return dataclasses as nested dictionaries and lists, and paths as text."""
    if is_dataclass(value) and not isinstance(value, type):
        return _to_object(value)
    if isinstance(value, Mapping):
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _to_object(value: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for one in fields(value):
        item = getattr(value, one.name)
        if item is None and (is_omitted(one) or is_inline(one)):
            continue
        plain = to_plain(item)
        found |= plain if is_inline(one) else {one.name: plain}
    return found


def read_document(cls: type[T], kind: str, values: Mapping[str, object], where: str) -> T:
    """Return the dataclass that a JSON document of a kind describes.

    Raises :class:`StoreError` for a document of another kind, of a newer schema or that lacks a
    field. ``where`` names the file in messages.
    """
    return read_value(cls, records.check_document(values, kind, where), where)


def read_value(cls: type[T], value: object, where: str) -> T:
    """Return the dataclass that a JSON object without a header describes; raises as above."""
    found: T = _read(cls, value, where, "")
    return found


def _read(kind: Any, value: Any, where: str, place: str) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is object or kind is Any:
        return value
    if origin in (Union, UnionType):
        if value is None and NoneType in arguments:
            return None
        return _read_either([one for one in arguments if one is not NoneType], value, where, place)
    if origin is Literal:
        if value in arguments:
            return value
        raise _wrong(value, f"one of {', '.join(arguments)}", where, place)
    if origin is tuple:
        return _read_tuple(arguments, value, where, place)
    if is_dataclass(kind) or (isinstance(origin, type) and issubclass(origin, Mapping)):
        if not isinstance(value, Mapping):
            raise _wrong(value, "an object", where, place)
        if is_dataclass(kind):
            return _read_object(kind, value, where, place)
        return {
            key: _read(arguments[1], item, where, f"{place}.{key}") for key, item in value.items()
        }
    return _read_scalar(kind, value, where, place)


def _read_either(kinds: list[Any], value: Any, where: str, place: str) -> Any:
    for kind in kinds[:-1]:
        try:
            return _read(kind, value, where, place)
        except StoreError:
            continue
    return _read(kinds[-1], value, where, place)


def _read_tuple(arguments: tuple[Any, ...], value: Any, where: str, place: str) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise _wrong(value, "a list", where, place)
    kinds = arguments[:1] * len(value) if arguments[1:] == (Ellipsis,) else arguments
    if len(kinds) != len(value):
        raise _wrong(value, f"a list of {len(kinds)}", where, place)
    pairs = enumerate(zip(kinds, value, strict=True))
    return tuple(_read(kind, item, where, f"{place}[{index}]") for index, (kind, item) in pairs)


def _read_object(kind: Any, value: Mapping[str, Any], where: str, place: str) -> Any:
    found = {}
    for one in fields(kind):
        below = f"{place}.{one.name}".lstrip(".")
        of = _hints(kind)[one.name]
        if is_inline(one):
            found[one.name] = _read_inline(of, value, where, place)
        elif one.name in value:
            found[one.name] = _read(of, value[one.name], where, below)
        elif one.default is MISSING and one.default_factory is MISSING:
            raise _damaged(f"{below} is missing", where)
    return kind(**found)


def _read_inline(kind: Any, value: Mapping[str, Any], where: str, place: str) -> Any:
    (cls,) = (one for one in (get_args(kind) or (kind,)) if one is not NoneType)
    if any(one.name in value for one in fields(cls)):
        return _read_object(cls, value, where, place)
    return None


def _read_scalar(kind: Any, value: Any, where: str, place: str) -> Any:
    if kind is Path and isinstance(value, str):
        return Path(value)
    if kind is float and isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            return float(value)  # JSON has no infinity: it is text
        except ValueError:
            pass
    elif issubclass(kind, Enum):
        if value in [one.value for one in kind]:
            return kind(value)
        raise _wrong(value, f"one of {', '.join(one.value for one in kind)}", where, place)
    elif type(value) is kind:
        return value
    raise _wrong(value, _NAMES.get(kind, kind.__name__), where, place)


def _wrong(value: object, rule: str, where: str, place: str) -> StoreError:
    shown = ascii(value)
    shown = shown if len(shown) <= 40 else f"{shown[:37]}..."
    return _damaged(f"{place.lstrip('.') or 'the document'} is {shown}, not {rule}", where)


def _damaged(what: str, where: str) -> StoreError:
    return StoreError(f"{where}: is damaged ({what}); restore it or write it again")


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)
