"""A store that cannot be written to: it is read, and what would write is refused in one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from turbo_lab.cli.main import main

ROOT = Path(__file__).parents[2]
CELL = [
    "num_images=2",
    "num_threads=1",
    "timing=off",
    "metrics=none",
    "tracking=none",
    "num_inference_steps=1",
]
COMPARE = [
    "compare",
    "baseline.guidance_scale=0",
    "candidate.guidance_scale=2",
    "num_images=8",
    "num_threads=1",
    "timing=off",
    "num_inference_steps=1",
]
# Root may write in spite of a file's mode until it has dropped that capability (1); what is
# dropped from the bounding set (24) is gone after the next exec. Other users have none.
DROP = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(24, 1, 0, 0, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
RUN = """
import contextlib, io, json, sys
from turbo_lab.cli.main import main
for words in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(words)
    print(json.dumps([code, out.getvalue(), err.getvalue()]))
"""


def run_without_override(folder: Path, commands: list[list[str]]) -> list[tuple[int, str, str]]:
    """Run commands in one process that has no right to write where modes forbid it."""
    words = [sys.executable, "-c", DROP, "-c", RUN, json.dumps(commands)]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        words, cwd=folder, env=environ, capture_output=True, text=True, timeout=600, check=True
    )
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]  # type: ignore[misc]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a store that has a sweep and a comparison, and that nobody may write to."""
    folder = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["sweep", *CELL]) == 0
        main(COMPARE)
    store = folder / "turbo-lab-store"
    places = [store, *store.rglob("*")]
    for path in places:
        path.chmod(0o555 if path.is_dir() else 0o444)
    yield folder
    for path in places:
        path.chmod(0o755 if path.is_dir() else 0o644)


def files_in(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_what_reads_a_store_works(project: Path) -> None:
    store = project / "turbo-lab-store"
    before = files_in(store)
    (sweep,) = (store / "sweeps").glob("*")
    record = sorted((store / "records").rglob("*.json"))[0]
    png = sorted((store / "batches").rglob("*.png"))[0]
    commands = [
        ["plan", *CELL, "--json"],
        ["show", str(png)],
        ["report", sweep.name, "--output", "page.html"],
        ["report", sweep.name, "--format", "markdown"],
        ["store", "verify"],
        ["store", "du"],
        [*COMPARE, "--json"],
        ["reproduce", str(record), "num_threads=1"],
    ]
    found = run_without_override(project, commands)
    for words, (code, _, errors) in zip(commands, found, strict=True):
        assert code in ((0, 1, 3) if words[0] == "compare" else (0,)), (words, errors)
    assert json.loads(found[0][1])["cells"][0]["status"] == "in_store"
    assert (project / "page.html").stat().st_size > 10_000
    assert files_in(store) == before


def test_what_would_write_is_refused_before_anything_is_drawn(project: Path) -> None:
    store = project / "turbo-lab-store"
    before = files_in(store)
    commands = [
        ["sweep", *CELL],
        ["sweep", *CELL, "seed=5"],
        ["generate", "a key", "seed=5", "num_threads=1"],
        [*COMPARE, "seed=5"],
        ["bench", "num_inference_steps=1", "num_threads=1"],
        ["store", "verify", "--remove-damaged"],
    ]
    for words, (code, _, errors) in zip(
        commands, run_without_override(project, commands), strict=True
    ):
        assert code == 2, (words, errors)
        last = errors.splitlines()[-1]
        assert last == f"turbo-lab: store={store}: cannot be written to; choose another folder"
        assert "importing torch" not in errors and "images" not in errors
    assert files_in(store) == before
