"""The examples of docs/python.md run, in order, in one folder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import turbo_lab

PAGE = (Path(__file__).parents[2] / "docs" / "python.md").read_text("utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.M | re.S)


def test_examples_run_and_print_what_they_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for example in EXAMPLES:
        exec(compile(example, "docs/python.md", "exec"), names)
    printed = capsys.readouterr().out
    expected = re.findall(r"^ *print\(.*\)  # (.+)$", "".join(EXAMPLES), flags=re.M)
    assert len(expected) >= 3
    assert [text for text in expected if text not in printed] == []
    assert (tmp_path / "sheet.png").is_file()


def test_every_example_is_marked_as_python() -> None:
    assert len(EXAMPLES) >= 6
    blocks = re.findall(r"^```(.+)$", PAGE, flags=re.M)
    assert set(blocks) == {"python", "python notest"}


def test_the_page_names_every_function() -> None:
    for name in ("sweep", "compare", "gate", "open_store"):
        assert name in turbo_lab.__all__ and f"turbo_lab.{name}(" in PAGE
