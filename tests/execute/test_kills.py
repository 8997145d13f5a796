"""A real sweep, killed at random instants and before every file operation of a commit.

Whatever kills it, what is committed stays, nothing half-written is read, and
the next runs end in the store of an uninterrupted one: batches, records and
measurements, byte for byte.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from turbo_lab.store import Store

ROOT = Path(__file__).parents[2]
SWEEP = ["sweep", "num_inference_steps=1,2", "guidance_scale=0,2", "num_images=4", "batch_size=2",
         "tracking=none", "timing=off", "metrics=none", "num_threads=1", "--json"]  # fmt: skip


class Server:
    """Runs sweeps in forks of one process that has everything imported."""

    def __init__(self, folder: Path) -> None:
        self.errors = folder / "errors"
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("kill_server.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def run(
        self,
        folder: Path,
        after_s: float | None = None,
        at_event: int | None = None,
        by: signal.Signals = signal.SIGKILL,
        arguments: list[str] = SWEEP,
    ) -> dict[str, Any]:
        """Fork a sweep in ``folder``; see the server for the answer."""
        folder.mkdir(exist_ok=True)
        request = {
            "cwd": str(folder), "arguments": arguments, "after_s": after_s, "at_event": at_event,
            "signal": int(by), "errors": str(self.errors),
        }  # fmt: skip
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    started = Server(tmp_path_factory.mktemp("server"))
    yield started
    assert started.process.stdin is not None
    started.process.stdin.close()
    started.process.wait()


@pytest.fixture(scope="module")
def whole(server: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """An uninterrupted run: its store's deterministic part, events and seconds."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    answer = server.run(folder)
    assert answer["code"] == 0, server.errors.read_text()
    return answer | {"content": deterministic_part(folder)}


def deterministic_part(folder: Path) -> dict[str, bytes]:
    """Batches, records and measurements by their path; sweep documents hold durations."""
    store = folder / "turbo-lab-store"
    files = [*store.glob("batches/*/*/*"), *store.glob("records/*/*"),
             *store.glob("measurements/*/*")]  # fmt: skip
    return {str(path.relative_to(store)): path.read_bytes() for path in sorted(files)}


def check_readable(folder: Path) -> None:
    """Whatever is there can be read: a batch whole or not at all, records of whole cells only."""
    root = folder / "turbo-lab-store"
    if not (root / "store.json").exists():
        return
    store = Store(root)
    for record in store.records():
        for key in record.batches:
            assert store.read_batch(key).reuse_key == key


def resume(server: Server, folder: Path, whole: dict[str, Any]) -> None:
    answer = server.run(folder)
    assert answer["code"] == 0, server.errors.read_text()
    assert deterministic_part(folder) == whole["content"]


def kill_at_events(server: Server, whole: dict[str, Any], folder: Path, events: list[int]) -> int:
    killed = 0
    for event in events:
        run = folder / str(event)
        answer = server.run(run, at_event=event)
        killed += answer["code"] == -signal.SIGKILL
        check_readable(run)
        resume(server, run, whole)
        shutil.rmtree(run)
    return killed


def kill_at_random(
    server: Server, whole: dict[str, Any], folder: Path, kills: int, seed: int
) -> None:
    """Kill one sweep again and again until it is done, then begin another, ``kills`` times."""
    draws, killed, run = random.Random(seed), 0, 0
    while killed < kills:
        here = folder / f"random-{run}"
        answer = server.run(here, after_s=draws.uniform(0.0, whole["seconds"]))
        killed += answer["code"] == -signal.SIGKILL
        check_readable(here)
        if answer["code"] == 0 or draws.random() < 0.3:
            resume(server, here, whole)
            shutil.rmtree(here)
            run += 1
    if (folder / f"random-{run}").exists():
        resume(server, folder / f"random-{run}", whole)


def test_killed_before_some_steps_of_a_commit(
    server: Server, whole: dict[str, Any], tmp_path: Path
) -> None:
    events = list(range(3, whole["events"], max(1, whole["events"] // 6)))
    assert kill_at_events(server, whole, tmp_path, events) == len(events)


def test_killed_at_a_few_random_instants(
    server: Server, whole: dict[str, Any], tmp_path: Path
) -> None:
    kill_at_random(server, whole, tmp_path, kills=5, seed=1)


@pytest.mark.slow
def test_killed_before_every_step_of_a_commit(
    server: Server, whole: dict[str, Any], tmp_path: Path
) -> None:
    """Every file operation of the first two commits, and every fifth of the rest."""
    first = list(range(1, min(60, whole["events"])))
    events = [*first, *range(60, whole["events"], 5)]
    assert kill_at_events(server, whole, tmp_path, events) == len(events)


@pytest.mark.slow
def test_killed_at_fifty_random_instants(
    server: Server, whole: dict[str, Any], tmp_path: Path
) -> None:
    kill_at_random(server, whole, tmp_path, kills=50, seed=2)


def test_ctrl_c_keeps_what_is_done_and_says_how_to_resume(
    server: Server, whole: dict[str, Any], tmp_path: Path
) -> None:
    draws, interrupted = random.Random(3), 0
    for index in range(5):
        run = tmp_path / str(index)
        moment = draws.uniform(0.3, 0.95) * whole["seconds"]
        answer = server.run(run, after_s=moment, by=signal.SIGINT)
        assert answer["code"] in (0, 3), server.errors.read_text()
        text = server.errors.read_text()
        assert "Traceback" not in text
        if answer["code"] == 3:
            interrupted += 1
            assert "interrupted" in text
        check_readable(run)
        resume(server, run, whole)
    assert interrupted


def test_a_full_disk_is_one_line_and_the_next_run_goes_on(
    server: Server, whole: dict[str, Any], tmp_path: Path
) -> None:
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("needs root, to mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", str(disk)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount a small disk: {mounted.stderr.strip()}")
    try:
        answer = server.run(disk)
        text = server.errors.read_text()
        assert answer["code"] in (2, 3, 4) and "the disk is full" in text, text
        assert "Traceback" not in text
        check_readable(disk)
        subprocess.run(["mount", "-o", "remount,size=16m", str(disk)], check=True)
        resume(server, disk, whole)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_two_sweeps_at_once_share_the_work(
    server: Server, whole: dict[str, Any], tmp_path: Path
) -> None:
    """The second leaves alone what the first has in hand, and both end with everything."""
    folder = tmp_path / "both"
    folder.mkdir()
    code = "import sys; from turbo_lab.cli import main; sys.exit(main(sys.argv[1:]))"
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, *SWEEP],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    documents = [json.loads(process.communicate()[0]) for process in started]
    assert [process.returncode for process in started] == [0, 0]
    assert deterministic_part(folder) == whole["content"]
    decoded = sum(document["work"]["vae_rows"]["done"] for document in documents)
    assert decoded == documents[0]["work"]["vae_rows"]["alone"]
