"""Goldens that the ``golden`` commands are run on, and a way to run them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from turbo_lab.cli.main import main
from turbo_lab.golden.library import GoldenLibrary

Document = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def document(capsys: pytest.CaptureFixture[str]) -> Document:
    """Run a ``golden`` command with ``--json``: its exit code and its document."""

    def run(*words: str) -> tuple[int, dict[str, Any]]:
        capsys.readouterr()
        code = main(["golden", *words, "--json"])
        return code, json.loads(capsys.readouterr().out)

    return run


@pytest.fixture
def own(library: GoldenLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GoldenLibrary:
    """A copy of ``library`` that a test may change; its parent is the working directory."""
    shutil.copytree(library.root, tmp_path / "goldens")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TURBO_LAB_GOLDENS", str(library.content))
    return GoldenLibrary(tmp_path / "goldens", library.content)
