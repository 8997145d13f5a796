"""Dataclasses to JSON and back: nothing is lost, and what is wrong is named."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import pytest

from turbo_lab import __version__
from turbo_lab.documents.document import read_document, read_value, to_document
from turbo_lab.errors import StoreError
from turbo_lab.untrusted.typed_json import INLINE, OMITTED


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Size:
    width: int
    height: int | None


@dataclass(frozen=True)
class Thing:
    name: str
    value: float | None
    colour: Colour
    path: Path
    pair: tuple[float, float] | None
    sizes: tuple[Size, ...]
    by_name: Mapping[str, tuple[Size, ...]]
    free: Mapping[str, object]
    later: tuple[str, ...] = ()
    note: str | None = field(default=None, metadata=OMITTED)
    extent: Size | None = field(default=None, metadata=INLINE)


FULL = Thing(
    name="a",
    value=-math.inf,
    colour=Colour.BLUE,
    path=Path("/a/b"),
    pair=(0.5, math.inf),
    sizes=(Size(1, None), Size(2, 3)),
    by_name={"x": (Size(4, 5),)},
    free={"list": [1, None]},
    later=("l",),
    note="n",
    extent=Size(7, 8),
)
SPARSE = Thing("b", None, Colour.RED, Path("c"), None, (), {}, {})


@pytest.mark.parametrize("thing", [FULL, SPARSE])
def test_a_document_survives_a_round_trip(thing: Thing) -> None:
    text = json.dumps(to_document("thing", thing), allow_nan=False)
    assert read_document(Thing, "thing", json.loads(text), "file") == thing


def test_a_document_has_a_header_and_plain_values() -> None:
    assert to_document("thing", SPARSE) == {
        "schema": 1,
        "turbo_lab": __version__,
        "kind": "thing",
        "name": "b",
        "value": None,
        "colour": "red",
        "path": "c",
        "pair": None,
        "sizes": [],
        "by_name": {},
        "free": {},
        "later": [],
    }
    found = to_document("thing", FULL)
    assert found["value"] == "-inf" and found["pair"] == [0.5, "inf"]
    assert found["note"] == "n" and (found["width"], found["height"]) == (7, 8)
    assert "extent" not in found


def test_a_field_of_a_later_version_is_ignored_and_a_default_fills_one_of_an_older() -> None:
    values = to_document("thing", SPARSE) | {"new": 1}
    del values["later"]
    assert read_document(Thing, "thing", values, "file") == SPARSE


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": 7}, "name is 7, not text"),
        ({"value": "much"}, "value is 'much', not a number"),
        ({"value": True}, "value is True, not a number"),
        ({"colour": "green"}, "colour is 'green', not one of red, blue"),
        ({"pair": [1.0]}, "pair is [1.0], not a list of 2"),
        ({"sizes": {}}, "sizes is {}, not a list"),
        ({"sizes": [{"width": 1}]}, "sizes[0].height is missing"),
        ({"sizes": [{"width": 1.5, "height": 2}]}, "sizes[0].width is 1.5, not a whole number"),
        ({"by_name": {"x": [3]}}, "by_name.x[0] is 3, not an object"),
        ({"name": "\x1b[2J" * 20, "value": "\x1b" * 90}, "value is '\\x1b"),
        ({"width": 1}, "height is missing"),
    ],
)
def test_a_wrong_field_is_named_with_its_rule(change: dict[str, object], message: str) -> None:
    values = to_document("thing", SPARSE) | change
    with pytest.raises(StoreError) as caught:
        read_document(Thing, "thing", values, "file.json")
    assert str(caught.value).startswith(f"file.json: is damaged ({message}")
    assert "restore it or write it again" in str(caught.value)
    assert len(str(caught.value)) < 150 and "\x1b" not in str(caught.value)


def test_what_is_not_an_object_is_refused() -> None:
    with pytest.raises(StoreError, match=r"file: is damaged \(the document is \[\], not an object"):
        read_value(Thing, [], "file")
