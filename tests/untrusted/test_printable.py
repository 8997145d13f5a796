"""Tests of text that a terminal must not act upon."""

from __future__ import annotations

import io
import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turbo_lab.untrusted.printable import (
    PrintableStream,
    printable,
    printable_json,
    printable_output,
    shortened,
)

ESCAPES = ("\x1b", "\x07", "\x9b", "\u202e", "\u2028", "\x7f", "\x00", "\r")
anything = st.text(st.characters())


@given(anything)
def test_nothing_is_left_that_a_terminal_acts_upon(text: str) -> None:
    shown = printable(text)
    assert not any(mark in shown for mark in ESCAPES)
    shown.encode()  # no lone surrogate is left


@pytest.mark.parametrize("text", ["a red apple", "ä漢字🙂", "two\nlines\tand a tab"])
def test_ordinary_text_stays(text: str) -> None:
    assert printable(text) == text


@given(anything, st.sampled_from(("utf-8", "ascii", "latin-1")))
def test_json_keeps_its_meaning(text: str, encoding: str) -> None:
    shown = printable_json(json.dumps({text: text}, ensure_ascii=False), encoding)
    assert json.loads(shown.encode(encoding).decode(encoding)) == {text: text}
    assert not any(mark in shown for mark in ESCAPES)


def test_a_long_message_keeps_both_ends() -> None:
    text = "seed=" + "9" * 5000 + ": must be an integer"
    assert shortened(text).startswith("seed=999")
    assert shortened(text).endswith("must be an integer")
    assert len(shortened(text)) < 1500
    assert shortened("short") == "short"


def test_what_is_printed_inside_is_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    with printable_output():
        print("\x1b[31mred")
        print("50 %\r100 %", file=sys.stderr)
    print("\x1b[0m", end="")
    assert capsys.readouterr() == ("\\x1b[31mred\n\x1b[0m", "50 %\r100 %\n")


def test_what_the_encoding_lacks_is_escaped() -> None:
    buffer = io.BytesIO()
    stream = PrintableStream(io.TextIOWrapper(buffer, "ascii", write_through=True))
    print("± 0.1", file=stream)
    assert buffer.getvalue() == b"\\xb1 0.1\n"
