"""Tests of reading JSON that another person may have written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turbo_lab.identity import digest
from turbo_lab.untrusted.json_text import parse_json

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(values)
def test_json_is_read_as_python_reads_it(value: object) -> None:
    assert parse_json(json.dumps(value)) == value
    assert parse_json(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[" * 200_000, "more than 100 levels"),
        (b'{"a":' * 150 + b"1" + b"}" * 150, "more than 100 levels"),
        (b"[" * 101 + b"]" * 101, "more than 100 levels"),
        (b"9" * 5000, "too many digits"),
        (b'"\xff\xfe"', "not UTF-8"),
        (b"", "Expecting value"),
        (b"{", "Expecting property name"),
        (b"[NaN]", "it has the number NaN"),
        (b'{"a": -Infinity}', "it has the number -Infinity"),
        (b"[[-1e999]]", "a number is too large"),
        (b'"\\ud83d"', "half of a character"),
        (b'{"\\uDC00": 1}', "half of a character"),
        (b'"\\ud83d \\ude00"', "half of a character"),
    ],
)
def test_anything_else_is_a_value_error(content: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_json(content)


@pytest.mark.parametrize("content", [b'"\\ud83d\\ude00"', b'"\\\\ud83d"'])
def test_whole_characters_and_text_about_halves_are_read(content: bytes) -> None:
    assert parse_json(content) == json.loads(content)


@given(st.binary() | values.map(lambda value: json.dumps(value).encode()))
def test_what_is_read_has_a_digest(content: bytes) -> None:
    try:
        value = parse_json(content)
    except ValueError:
        return
    assert len(digest(value)) == 64


def test_a_hundred_levels_are_read() -> None:
    assert parse_json(b"[" * 100 + b"]" * 100)


def test_no_other_module_reads_json_of_others_by_itself() -> None:
    package = Path(__file__).parents[2] / "turbo_lab"
    found = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if "json.loads(" in path.read_text(encoding="utf-8")
    }
    # What these read was written by this process, its parent or its child, or is checked.
    assert found == {
        "identity.py",
        "metrics/process.py",
        "metrics/reference.py",
        "pytest_plugin.py",
        "request/scheduler.py",
        "trials/draw_cases.py",
        "trials/faults.py",
        "untrusted/json_text.py",
        "upgrade/environments.py",
        "upgrade/installer.py",
        "upgrade/probe.py",
        "upgrade/remote.py",
    }
