"""Checkpoints for the tests of cards."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def copy(tiny_sdxl_dir: Path, tmp_path: Path) -> Path:
    """A checkpoint that a test may change."""
    return shutil.copytree(tiny_sdxl_dir, tmp_path / "copy")
