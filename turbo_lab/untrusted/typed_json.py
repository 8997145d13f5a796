"""JSON objects as frozen dataclasses, and back.

A dataclass describes an object: its fields carry the names of the JSON fields. Refuses a field
that is missing or of another type, and says where it is; ignores fields that it does not know,
because later versions add some.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from types import MappingProxyType, NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
Reader = Callable[[Any], Any]
"""Function from a JSON value to a value of a certain type."""

OMITTED = MappingProxyType({"json": "omitted"})
"""Metadata of a field that is absent from the JSON object while it is ``None``."""
INLINE = MappingProxyType({"json": "inline"})
"""Metadata of a field whose own fields take its place in the JSON object; none if ``None``."""
_NAMES = {
    str: "text",
    bool: "true or false",
    int: "an integer",
    float: "a number",
    Path: "a path",
}


class MalformedError(ValueError):
    """A JSON value that its dataclass does not describe."""

    def __init__(self, fault: str) -> None:
        """Describe what is wrong with the value; readers add its place on the way out."""
        super().__init__(fault)
        self.places: list[str] = []

    def __str__(self) -> str:
        """Return the place and the fault, such as ``images[2].seed is '3', not an integer``."""
        place = "".join(reversed(self.places)).lstrip(".")
        return f"{place or 'the document'} {super().__str__()}"


def is_omitted(one: Field[Any]) -> bool:
    """Return whether a field is absent from the JSON object while it is ``None``."""
    return one.metadata == OMITTED


def is_inline(one: Field[Any]) -> bool:
    """Return whether a field's own fields take its place in the JSON object."""
    return one.metadata == INLINE


def to_plain(value: object) -> Any:
    """Return dataclasses as nested dictionaries and lists, and paths as text."""
    if type(value) in (str, int, float, bool, NoneType):  # most of it; the rest is slower
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return _to_object(value)
    if isinstance(value, Mapping):
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _to_object(value: Any) -> dict[str, object]:
    found: dict[str, object] = {}
    for one in fields(value):
        item = getattr(value, one.name)
        if item is None and (is_omitted(one) or is_inline(one)):
            continue
        plain = to_plain(item)
        found |= plain if is_inline(one) else {one.name: plain}
    return found


def read_typed(cls: type[T], value: object) -> T:
    """Return the dataclass that a JSON object describes. Raises :class:`MalformedError`."""
    kind: Any = cls
    found: T = _reader(kind)(value)
    return found


@cache
def _reader(kind: Any) -> Reader:
    """Return the reader of a type; it is built once, because a store has many documents."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is object or kind is Any:
        return lambda value: value
    if origin in (Union, UnionType):
        return _either_reader(arguments)
    if origin is Literal:
        return _choice_reader({one: one for one in arguments})
    if origin is tuple and arguments[1:] == (Ellipsis,):
        return _list_reader(arguments[0])
    if origin is tuple:
        return _fixed_reader(arguments)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _mapping_reader(arguments[1])
    if is_dataclass(kind):
        return _object_reader(kind)
    if issubclass(kind, Enum):
        return _choice_reader({one.value: one for one in kind})
    return _scalar_reader(kind)


def _either_reader(kinds: tuple[Any, ...]) -> Reader:
    readers = [_reader(one) for one in kinds if one is not NoneType]
    has_none = NoneType in kinds

    def read(value: Any) -> Any:
        if value is None and has_none:
            return None
        for one in readers[:-1]:
            try:
                return one(value)
            except MalformedError:
                continue
        return readers[-1](value)

    return read


def _choice_reader(choices: Mapping[Any, object]) -> Reader:
    def read(value: Any) -> object:
        if isinstance(value, str) and value in choices:
            return choices[value]
        raise _wrong(value, f"one of {', '.join(choices)}")

    return read


def _list_reader(kind: Any) -> Reader:
    read_one = _reader(kind)

    def read(value: Any) -> tuple[Any, ...]:
        items, found = _listed(value), []
        try:
            for item in items:
                found.append(read_one(item))
        except MalformedError as error:
            error.places.append(f"[{len(found)}]")
            raise
        return tuple(found)

    return read


def _fixed_reader(kinds: tuple[Any, ...]) -> Reader:
    readers = [_reader(one) for one in kinds]

    def read(value: Any) -> tuple[Any, ...]:
        if len(_listed(value)) != len(readers):
            raise _wrong(value, f"a list of {len(readers)}")
        found: list[Any] = []
        try:
            for read_one, item in zip(readers, value, strict=True):
                found.append(read_one(item))
        except MalformedError as error:
            error.places.append(f"[{len(found)}]")
            raise
        return tuple(found)

    return read


def _listed(value: Any) -> list[Any] | tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise _wrong(value, "a list")
    return value


def _mapping_reader(kind: Any) -> Reader:
    read_one = _reader(kind)

    def read(value: Any) -> dict[str, Any]:
        values, found, key = _named(value), {}, ""
        try:
            for key, item in values.items():
                found[key] = read_one(item)
        except MalformedError as error:
            error.places.append(f".{key}")
            raise
        return found

    return read


def _named(value: Any) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise _wrong(value, "an object")
    return value


def _object_reader(cls: Any) -> Reader:
    hints = get_type_hints(cls)
    own, inline, required = {}, {}, set()
    for one in fields(cls):
        if is_inline(one):
            inline[one.name] = _inline_reader(hints[one.name])
            continue
        own[one.name] = _reader(hints[one.name])
        if one.default is MISSING and one.default_factory is MISSING:
            required.add(one.name)

    def read(value: Any) -> Any:
        values, found = _named(value), {}
        for name, read_one in own.items():
            try:
                if name in values:
                    found[name] = read_one(values[name])
                elif name in required:
                    raise MalformedError("is missing")
            except MalformedError as error:
                error.places.append(f".{name}")
                raise
        return cls(**found, **{name: read_one(values) for name, read_one in inline.items()})

    return read


def _inline_reader(kind: Any) -> Reader:
    arguments = get_args(kind)
    if not arguments:
        return _reader(kind)
    (cls,) = (one for one in arguments if one is not NoneType)
    names, read_one = {one.name for one in fields(cls)}, _reader(cls)
    return lambda values: read_one(values) if names & set(values) else None


def _scalar_reader(kind: Any) -> Reader:
    if kind is float:
        return _read_number
    of_json = str if kind is Path else kind

    def read(value: Any) -> Any:
        if type(value) is not of_json:
            raise _wrong(value, _NAMES.get(kind, kind.__name__))
        return Path(value) if kind is Path else value

    return read


def _read_number(value: Any) -> float:
    if type(value) is float:
        return value
    if isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            return float(value)  # JSON has no infinity: it is text
        except (ValueError, OverflowError):
            pass
    raise _wrong(value, _NAMES[float])


def _wrong(value: object, rule: str) -> MalformedError:
    shown = ascii(value)
    shown = shown if len(shown) <= 40 else f"{shown[:37]}..."
    return MalformedError(f"is {shown}, not {rule}")
