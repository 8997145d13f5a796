"""A library of one case, which a trial may change."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from turbo_lab.golden.library import GoldenLibrary


@pytest.fixture
def one(library: GoldenLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GoldenLibrary:
    """A library with the case of two steps only; its parent is the working directory."""
    made = GoldenLibrary(tmp_path / "goldens", library.content)
    shutil.copytree(library.root / "two-steps", made.root / "two-steps")
    made.write_cases({"two-steps": library.cases()["two-steps"]})
    monkeypatch.chdir(tmp_path)
    return made
