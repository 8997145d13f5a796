"""Documents: a header, numbers that JSON does not have, and one error for a damaged file.

The fields of dataclasses are tested in :mod:`tests.untrusted.test_typed_json`.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

import pytest

from turbo_lab import __version__
from turbo_lab.documents.document import read_document, read_value, to_document
from turbo_lab.errors import StoreError


@dataclass(frozen=True)
class Distance:
    name: str
    value: float | None
    interval: tuple[float, float] | None = None


PLAIN = Distance("a", 0.5)
INFINITE = Distance("b", -math.inf, (0.5, math.inf))


def test_a_document_has_a_header_and_plain_values() -> None:
    assert to_document("distance", PLAIN) == {
        "schema": 1,
        "turbo_lab": __version__,
        "kind": "distance",
        "name": "a",
        "value": 0.5,
        "interval": None,
    }
    found = to_document("distance", INFINITE)
    assert found["value"] == "-inf" and found["interval"] == [0.5, "inf"]


@pytest.mark.parametrize("distance", [PLAIN, INFINITE])
def test_a_document_survives_a_round_trip(distance: Distance) -> None:
    text = json.dumps(to_document("distance", distance), allow_nan=False)
    assert read_document(Distance, "distance", json.loads(text), "file") == distance


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": 7}, "name is 7, not text"),
        ({"name": "\x1b[2J" * 20, "value": "\x1b" * 90}, "value is '\\x1b"),
    ],
)
def test_a_damaged_file_is_named_with_its_fault_and_remedy(
    change: dict[str, object], message: str
) -> None:
    values = to_document("distance", PLAIN) | change
    with pytest.raises(StoreError) as caught:
        read_document(Distance, "distance", values, "file.json")
    assert str(caught.value).startswith(f"file.json: is damaged ({message}")
    assert "restore it or write it again" in str(caught.value)
    assert len(str(caught.value)) < 150 and "\x1b" not in str(caught.value)


def test_what_is_not_an_object_is_refused() -> None:
    with pytest.raises(StoreError, match=r"file: is damaged \(the document is \[\], not an object"):
        read_value(Distance, [], "file")
