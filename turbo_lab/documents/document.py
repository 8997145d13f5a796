"""Dataclasses as JSON documents, and back.

A document is described by frozen dataclasses whose fields carry the names of the JSON fields.
Owns the one way from such an object to JSON, and the one way back. Refuses a field that is
missing or of another type; ignores fields that it does not know, because later versions add some.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from turbo_lab.errors import StoreError
from turbo_lab.store import record as records
from turbo_lab.untrusted.typed_json import MalformedError, read_typed

T = TypeVar("T")


def to_document(kind: str, value: object) -> dict[str, Any]:
    """Return a dataclass as a JSON document: its fields after ``schema``, ``turbo_lab``, ``kind``.

    ``models show`` has a field ``kind``, which takes the place of the document's.
    """
    return records.document(kind, value)


def read_document(cls: type[T], kind: str, values: Mapping[str, object], where: str) -> T:
    """Return the dataclass that a JSON document of a kind describes.

    Raises :class:`StoreError` for a document of another kind, of a newer schema or that lacks a
    field. ``where`` names the file in messages.
    """
    return read_value(cls, records.check_document(values, kind, where), where)


def read_value(cls: type[T], value: object, where: str) -> T:
    """Return the dataclass that a JSON object without a header describes; raises as above."""
    try:
        return read_typed(cls, value)
    except MalformedError as error:
        raise StoreError(f"{where}: is damaged ({error}); restore it or write it again") from error
