"""The collector is off while torch and diffusers are imported, and on afterwards."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from turbo_lab.runtime.imports import uncollected_imports

ROOT = Path(__file__).parents[2]
# Counts full collections: each walks through every object that is not frozen.
WATCH = """
import gc, json, sys
full = []
gc.callbacks.append(lambda phase, about: full.append(phase) if about["generation"] == 2 else None)
{code}
state = {{"full": len(full) // 2, "frozen": gc.get_freeze_count(), "enabled": gc.isenabled()}}
print(json.dumps(state))
"""
GENERATE = """
from turbo_lab.cli.main import main
assert main(["generate", "a red apple", "num_threads=1", "--json"]) == 0
"""


def state_after(code: str, folder: Path) -> dict[str, Any]:
    """What the collector did in a fresh interpreter that ran ``code``."""
    done = subprocess.run(
        [sys.executable, "-c", WATCH.format(code=code)],
        capture_output=True,
        text=True,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "leaked" not in done.stderr
    state: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return state


def test_drawing_an_image_never_collects_what_was_imported(tmp_path: Path) -> None:
    state = state_after(GENERATE, tmp_path)
    assert state["enabled"]
    assert state["frozen"] > 100_000
    assert state["full"] <= 1  # what the command line itself imports


def test_the_count_of_collections_can_fail(tmp_path: Path) -> None:
    state = state_after("from diffusers import StableDiffusionXLPipeline", tmp_path)
    assert state["full"] > 1
    assert state["frozen"] == 0


def test_nothing_is_frozen_once_torch_is_imported() -> None:
    import torch  # noqa: F401

    before = gc.get_freeze_count()
    with uncollected_imports():
        assert gc.isenabled()
    assert gc.get_freeze_count() == before


def test_the_collector_is_on_again_after_a_failed_import(tmp_path: Path) -> None:
    code = """
from turbo_lab.runtime.imports import uncollected_imports
try:
    with uncollected_imports():
        assert not gc.isenabled()
        raise ImportError
except ImportError:
    pass
"""
    assert state_after(code, tmp_path)["enabled"]
