"""What is recorded of a scorer's interpreter, and what is said if it is not one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from turbo_lab.errors import InputError, MissingFilesError
from turbo_lab.identity import DigestCache
from turbo_lab.metrics.interpreter import ScorerProcess, own_environment


@pytest.fixture
def script(tmp_path: Path) -> Path:
    script = tmp_path / "scorer.py"
    script.write_text("print(1)\n")
    return script


def test_details_have_versions_script_and_arguments(script: Path, cache: DigestCache) -> None:
    process = ScorerProcess(sys.executable, str(script), ("--large",))
    details = process.details("taste", cache)
    assert details["python"] == ".".join(map(str, sys.version_info[:3]))
    assert isinstance(details["packages"], dict) and "pytest" in details["packages"]
    assert details["arguments"] == ["--large"] and str(script) not in str(details)
    before = details["script"]
    script.write_text("print(22)\n")
    assert process.details("taste", cache)["script"] != before


@pytest.mark.parametrize("missing", ["python", "script"])
def test_an_absent_file_is_named(missing: str, script: Path, cache: DigestCache) -> None:
    files = {"python": sys.executable, "script": str(script), missing: "nowhere/x"}
    with pytest.raises(MissingFilesError, match=r"^metrics=taste: .*nowhere/x does not exist; "):
        ScorerProcess(**files).details("taste", cache)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("#!/bin/sh\necho no module >&2; exit 3\n", r"does not work as a Python \(no module\)"),
        ("#!/bin/sh\necho hello\n", r"does not work as a Python \(no message\); name another"),
        ("not a program", r"cannot be run \(Exec format error\); name a Python"),
    ],
)
def test_a_program_that_is_no_python_is_refused(
    text: str, message: str, script: Path, tmp_path: Path, cache: DigestCache
) -> None:
    program = tmp_path / "python"
    program.write_text(text)
    program.chmod(0o755)
    with pytest.raises(InputError, match=message):
        ScorerProcess(str(program), str(script)).details("taste", cache)


def test_variables_for_this_python_are_kept_from_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "here")
    monkeypatch.setenv("VIRTUAL_ENV", "here")
    monkeypatch.setenv("HF_HOME", "there")
    found = own_environment()
    assert "PYTHONPATH" not in found and "VIRTUAL_ENV" not in found
    assert found["HF_HOME"] == "there"
