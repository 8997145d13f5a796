"""JSON objects as dataclasses: a fault is named with its place, and nothing is guessed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Literal

import pytest

from turbo_lab.untrusted.typed_json import INLINE, OMITTED, MalformedError, read_typed, to_plain


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Size:
    width: int
    height: float | None


@dataclass(frozen=True)
class Thing:
    name: str
    colour: Colour
    mode: Literal["a", "b"]
    dirty: bool | str
    path: Path
    pair: tuple[str, int]
    sizes: tuple[Size, ...]
    by_name: Mapping[str, Size]
    free: object = None
    note: str | None = field(default=None, metadata=OMITTED)
    extent: Size | None = field(default=None, metadata=INLINE)


THING = Thing(
    name="n",
    colour=Colour.BLUE,
    mode="a",
    dirty="unknown",
    path=Path("/a"),
    pair=("p", 1),
    sizes=(Size(1, 0.5), Size(2, None)),
    by_name={"x": Size(3, 4.0)},
    free={"k": [1]},
)


def test_what_is_written_is_read() -> None:
    plain = json.loads(json.dumps(to_plain(THING)))
    assert read_typed(Thing, plain) == THING
    assert "note" not in plain and "extent" not in plain and plain["path"] == "/a"
    inside = Thing(**{**vars(THING), "extent": Size(5, 6.0), "note": "m"})
    assert to_plain(inside)["width"] == 5
    assert read_typed(Thing, to_plain(inside)) == inside


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": 7}, "name is 7, not text"),
        ({"colour": "green"}, "colour is 'green', not one of red, blue"),
        ({"colour": ["red"]}, "colour is ['red'], not one of red, blue"),
        ({"mode": "c"}, "mode is 'c', not one of a, b"),
        ({"dirty": 1}, "dirty is 1, not text"),
        ({"path": 1}, "path is 1, not a path"),
        ({"pair": ["p", True]}, "pair[1] is True, not an integer"),
        ({"pair": ["p"]}, "pair is ['p'], not a list of 2"),
        ({"pair": "pq"}, "pair is 'pq', not a list"),
        ({"sizes": {}}, "sizes is {}, not a list"),
        ({"sizes": [{"width": 1.5, "height": 2}]}, "sizes[0].width is 1.5, not an integer"),
        ({"sizes": [{"width": 1, "height": 1}, 2]}, "sizes[1] is 2, not an object"),
        ({"sizes": [{"width": 1}]}, "sizes[0].height is missing"),
        ({"by_name": {"x": {"width": 1, "height": "tall"}}}, "by_name.x.height is 'tall', not"),
        ({"by_name": []}, "by_name is [], not an object"),
        ({"width": 1}, "height is missing"),
        ({"name": ["\x1b" * 99]}, "name is ['\\x1b"),
    ],
)
def test_a_fault_is_named_with_its_place(change: dict[str, object], message: str) -> None:
    with pytest.raises(MalformedError) as caught:
        read_typed(Thing, to_plain(THING) | change)
    assert str(caught.value).startswith(message)
    assert len(str(caught.value)) < 80 and "\x1b" not in str(caught.value)


def test_a_field_of_a_later_version_is_ignored_and_a_default_fills_one_of_an_older() -> None:
    values = {**to_plain(THING), "new": 1}
    del values["free"]
    assert read_typed(Thing, values) == replace(THING, free=None)


def test_the_whole_document_may_be_at_fault() -> None:
    with pytest.raises(MalformedError, match=r"the document is \[\], not an object"):
        read_typed(Thing, [])


def test_a_whole_number_is_a_number_and_a_text_may_be_infinite() -> None:
    assert read_typed(Size, {"width": 1, "height": 2}) == Size(1, 2.0)
    assert read_typed(Size, {"width": 1, "height": "inf"}).height == float("inf")
    with pytest.raises(MalformedError, match="height is True, not a number"):
        read_typed(Size, {"width": 1, "height": True})
