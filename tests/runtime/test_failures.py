"""The rule that tells a cell's failure from a bug in turbo-lab."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors import SafetensorError, safe_open

from turbo_lab.errors import IncompleteError, InputError
from turbo_lab.identity import digest
from turbo_lab.runtime.failures import cell_failures, is_own_bug, reason, refused_as


def raised_by(call: Callable[[], Any]) -> Exception:
    """Return what a call raises."""
    try:
        call()
    except Exception as error:  # noqa: BLE001 - any type
        return error
    raise AssertionError("raised nothing")


def test_what_a_library_raises_is_the_cells_failure(tmp_path: Path) -> None:
    (tmp_path / "cut.safetensors").write_bytes(b"\x10")
    found = raised_by(lambda: safe_open(tmp_path / "cut.safetensors", "numpy").__enter__())
    assert isinstance(found, SafetensorError) and not is_own_bug(found)
    for wrong in (lambda: json.loads(3), lambda: json.loads("["), lambda: {}["key"]):  # type: ignore[arg-type]
        assert not is_own_bug(raised_by(wrong))


def test_what_our_own_code_raises_is_a_bug() -> None:
    bug = raised_by(lambda: digest(object()))
    assert isinstance(bug, TypeError)
    ours = raised_by(lambda: reason())  # type: ignore[call-arg]
    assert isinstance(ours, TypeError) and not is_own_bug(ours)  # the caller is this test

    def from_ours() -> None:
        with refused_as("model"):
            reason()  # type: ignore[call-arg]

    assert not is_own_bug(InputError("wrong")) and is_own_bug(KeyError("never raised"))
    with pytest.raises(InputError, match="model \\(TypeError: reason"):
        from_ours()


def test_one_line_names_the_type_where_the_text_is_not_enough() -> None:
    assert reason(RuntimeError("CUDA out of memory:\n tried")) == "CUDA out of memory: tried"
    assert reason(KeyError("unet")) == "KeyError: 'unet'"
    assert reason(RuntimeError()) == "RuntimeError" and reason(IndexError("a")) == "IndexError: a"


def test_contexts_let_turbo_lab_errors_through_and_convert_the_rest() -> None:
    with pytest.raises(InputError, match="^stays$"), cell_failures():
        raise InputError("stays")
    with pytest.raises(IncompleteError, match="^IndexError: list index$"), cell_failures():
        raise IndexError("list index")
    with pytest.raises(InputError, match=r"^lora=a \(first\); ask$"), refused_as("lora=a", "; ask"):
        raise ValueError("first\nsecond")
    with pytest.raises(MemoryError), refused_as("lora=a"):
        raise MemoryError
