"""Documents of the store: what is written reads back, and nothing passes for another kind."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.recipes import PARAMETERS, PROVENANCE, RECIPE
from turbo_lab.environment import Fingerprint
from turbo_lab.errors import StoreError
from turbo_lab.store.record import (
    SCHEMA,
    BatchRecord,
    ImageEntry,
    LatencySummary,
    Measurement,
    Record,
    Timing,
    document,
    dump,
    encode_floats,
    read_batch,
    read_measurement,
    read_record,
    read_timing,
)

RECORD = Record(
    record_id="a1",
    cell_id="c",
    status="failed",
    error="lora=x: does not fit",
    exactness="exact",
    recipe=RECIPE,
    parameters=PARAMETERS,
    batches=("b1", "b2"),
    fingerprint=Fingerprint({"torch": "2.15.0"}, {}),
    provenance=replace(PROVENANCE, notes=("drawn as 2+2",)),
)
BATCH = BatchRecord("b", "e1", "exact", RECIPE, (ImageEntry("00.png", "f" * 64, "é", 3),))
LATENCY = LatencySummary(0.1, 0.1, 0.2, 0.2, None, 20, (0.09, 0.11))
TIMING = Timing(
    "c", 1, LATENCY, 10.0, (0.1, 0.1), {"unet": 0.05}, 0.4, 1 << 30, Fingerprint({}, {}), ("busy",)
)


def measurement(**changes: Any) -> Measurement:
    values = {
        "name": "clip_score",
        "value": 0.5,
        "unit": "cosine",
        "n": 2,
        "direction": "higher",
        "fingerprint": "f",
        "ci95": (0.4, 0.6),
        "per_image": (0.4, 0.6),
    }
    return Measurement(**values | changes)


@pytest.mark.parametrize(
    ("value", "note", "failed"),
    [
        (None, "error: no weights", True),
        (None, "needs 8 images", False),
        (0.5, "errors are independent", False),
    ],
)
def test_a_failure_of_an_older_version_is_known_by_its_note(
    value: float | None, note: str, failed: bool
) -> None:
    old = through_json("measurement", measurement(value=value, note=note))
    del old["failed"]
    assert read_measurement(old, "old.json").failed == failed


def test_a_failure_is_a_field_and_not_a_word_in_the_note() -> None:
    for failed in (True, False):
        new = measurement(value=None, note="error: no weights", failed=failed)
        assert read_measurement(through_json("measurement", new), "new.json") == new


def through_json(kind: str, value: Any) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(dump(document(kind, value)))
    return loaded


@pytest.mark.parametrize(
    ("kind", "value", "read"),
    [
        ("record", RECORD, read_record),
        ("batch", BATCH, read_batch),
        ("timing", TIMING, read_timing),
        ("measurement", measurement(), read_measurement),
        ("measurement", measurement(value=None, ci95=None, per_image=None), read_measurement),
    ],
)
def test_round_trips(kind: str, value: Any, read: Callable[..., Any]) -> None:
    assert read(through_json(kind, value), "file") == value


numbers = st.floats()


def same(a: float, b: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b))


@given(numbers, st.tuples(numbers, numbers), st.lists(numbers, max_size=5))
def test_any_number_survives(
    value: float, ci95: tuple[float, float], per_image: list[float]
) -> None:
    before = measurement(value=value, ci95=ci95, per_image=tuple(per_image))
    after = read_measurement(through_json("measurement", before), "file")
    assert after.value is not None and after.ci95 is not None and after.per_image is not None
    assert same(after.value, value)
    assert all(map(same, after.ci95, ci95))
    assert len(after.per_image) == len(per_image)
    assert all(map(same, after.per_image, per_image))


def test_timings_that_are_not_finite_survive() -> None:
    latency = LatencySummary(math.inf, math.nan, 0.2, 0.2, math.inf, 2, None)
    before = Timing(
        "c",
        1,
        latency,
        math.nan,
        (0.1, math.inf),
        {"unet": math.nan},
        math.inf,
        1,
        Fingerprint({}, {}),
    )
    after = read_timing(through_json("timing", before), "file")
    assert after.latency_s.mean == math.inf and math.isnan(after.latency_s.p50)
    assert after.latency_s.p99 == math.inf and after.latency_s.ci95 is None
    assert math.isnan(after.throughput_images_per_s) and after.first_call_s == math.inf
    assert after.samples_s == (0.1, math.inf)
    assert after.stages_s is not None and math.isnan(after.stages_s["unet"])


def test_documents_say_what_they_are() -> None:
    found = document("record", RECORD)
    assert (found["schema"], found["kind"]) == (SCHEMA, "record")
    assert found["turbo_lab"]


READERS: Mapping[str, Callable[..., Any]] = {
    "record": read_record,
    "batch": read_batch,
    "measurement": read_measurement,
    "timing": read_timing,
}


@pytest.mark.parametrize("kind", READERS)
def test_a_newer_schema_is_refused(kind: str) -> None:
    text = rf"here: schema {SCHEMA + 1} is newer than this turbo-lab's {SCHEMA}; upgrade it"
    with pytest.raises(StoreError, match=text):
        READERS[kind]({"schema": SCHEMA + 1, "kind": kind}, "here")


def test_a_timing_is_no_record() -> None:
    with pytest.raises(StoreError, match="holds a 'timing' document where 'record' belongs"):
        read_record(through_json("timing", TIMING), "file")
    with pytest.raises(StoreError, match="holds a 'record' document where 'timing' belongs"):
        read_timing(through_json("record", RECORD), "file")


def test_json_without_extensions() -> None:
    plain = encode_floats({"a": [math.inf, -math.inf, math.nan, 1.0, "inf", None]})
    assert plain == {"a": ["inf", "-inf", "nan", 1.0, "inf", None]}
    with pytest.raises(ValueError):
        dump({"a": math.nan})
    assert dump({"é": 1}).endswith("\n") and "é" in dump({"é": 1})


@pytest.mark.parametrize(
    ("read", "kind", "value", "extra", "rule"),
    [
        (read_timing, "timing", TIMING, {"images": []}, "a timing never carries images"),
        (read_batch, "batch", BATCH, {"latency_s": 1.0}, "images never carry a latency"),
        (read_record, "record", RECORD, {"samples_s": [1.0]}, "images never carry a latency"),
    ],
)
def test_lanes_are_never_mixed(
    read: Any, kind: str, value: Any, extra: dict[str, Any], rule: str
) -> None:
    with pytest.raises(StoreError, match=f"holds {next(iter(extra))}; {rule}"):
        read(document(kind, value) | extra, "here")
