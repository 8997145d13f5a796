"""Fresh processes: equal bits, nothing done twice, nothing lost to a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

GRID = ("num_inference_steps=1,2", "guidance_scale=0,2", "num_images=4", "batch_size=2")
QUICK = ("tracking=none", "timing=off", "metrics=none", "num_threads=1")
ROOT = str(Path(__file__).parents[2])


def command(*overrides: str) -> list[str]:
    """A sweep that says on its last line of standard error whether it imported torch."""
    code = (
        "import sys; from turbo_lab.cli.main import main; code = main(sys.argv[1:]); "
        "print('torch' in sys.modules, file=sys.stderr); sys.exit(code)"
    )
    return [sys.executable, "-c", code, "sweep", "--json", *GRID, *QUICK, *overrides]


def run(folder: Path, *overrides: str) -> tuple[dict[str, Any], bool]:
    """The sweep document, and whether torch was imported."""
    done = subprocess.run(
        command(*overrides),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": ROOT},
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(done.stdout), done.stderr.strip().endswith("True")


def pixels(document: dict[str, Any]) -> list[str]:
    return [image["pixel_sha256"] for cell in document["cells"] for image in cell["images"]]


def deterministic_part(store: Path) -> dict[str, str]:
    """Every file but those that hold times: batches and records, by their path."""
    files = sorted(store.glob("batches/*/*/*")) + sorted(store.glob("records/*/*.json"))
    return {str(f.relative_to(store)): f.read_bytes().hex() for f in files}


@dataclass(frozen=True)
class First:
    """A sweep of a fresh process."""

    folder: Path
    """Its working directory; a test may add to it."""
    document: dict[str, Any]
    """The sweep document."""
    content: dict[str, str]
    """The deterministic part of its store."""


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> First:
    folder = tmp_path_factory.mktemp("first")
    document, _ = run(folder)
    return First(folder, document, deterministic_part(folder / "turbo-lab-store"))


@pytest.mark.slow
def test_second_run_reuses_everything_and_a_longer_one_adds_to_it(first: First) -> None:
    assert len(set(pixels(first.document))) == 16
    again, imported_torch = run(first.folder)
    assert not imported_torch
    assert again["counts"] == {
        "requested": 4,
        "distinct": 4,
        "reused": 4,
        "done": 0,
        "failed": 0,
    }
    assert pixels(again) == pixels(first.document)
    more, _ = run(first.folder, "num_images=6")
    assert more["counts"]["done"] == 4
    # Per image: unguided 1 + 1, guided 2 + 2; only the third batch is new.
    assert more["work"]["unet_rows"]["done"] == 2 * 6
    assert set(pixels(first.document)) < set(pixels(more))


@pytest.mark.slow
def test_killed_sweep_is_resumed_to_the_store_of_another_fresh_process(
    first: First, tmp_path: Path
) -> None:
    store = tmp_path / "turbo-lab-store"
    process = subprocess.Popen(
        command(),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": ROOT},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    # Kill it at the first sign of a batch: some are in place, one may be half-written.
    while not any(store.glob("batches/*/*")) and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    committed = len(list(store.glob("batches/*/*")))
    assert 0 < committed < 8
    resumed, _ = run(tmp_path)
    assert resumed["counts"]["failed"] == 0
    assert deterministic_part(store) == first.content
