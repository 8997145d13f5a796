"""A real sweep, killed at random instants and before every file operation of a commit.

Whatever kills it, what is committed stays, nothing half-written is read, and
the next runs end in the store of an uninterrupted one: batches, records and
measurements, byte for byte. Left out are sweep documents and sheets (durations),
timings (samples of the clock), and what a killed write left under ``tmp``.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from turbo_lab.documents.cut_off import read_sweep_file
from turbo_lab.errors import IncompleteError
from turbo_lab.store import maintenance
from turbo_lab.store.store import Store

ROOT = Path(__file__).parents[2]
SWEEP = (
    "sweep",
    "num_inference_steps=1,2",
    "guidance_scale=0,2",
    "num_images=4",
    "batch_size=2",
    "tracking=none",
    "timing=off",
    "num_threads=1",
    "--json",
)
# Right before a batch's images and its document are written, synced (their folder is opened), a
# folder is made for them after that, they are renamed, and what is left is cleaned up; then right
# before the record is in place, and a measurement.
STEPS = (
    "open tmp/*.png",
    "open tmp/*.json",
    "open tmp/*",
    "os.mkdir batches/*",
    "os.rename tmp/*",
    "shutil.rmtree tmp/*",
    "os.mkdir records/*",
    "os.rename tmp/*.json",
    "os.mkdir measurements/*",
)


@dataclass(frozen=True)
class Answer:
    """How a sweep ended."""

    code: int
    """Its exit code, negative for a signal."""
    steps: list[str] | None
    """Its file operations; ``None`` where it was killed."""
    seconds: float
    """From the fork to the end."""
    errors: str
    """Its standard error."""
    output: str
    """Its standard output."""


@dataclass(frozen=True)
class Whole(Answer):
    """An uninterrupted sweep."""

    content: dict[str, bytes] = field(default_factory=dict)
    """Its store's deterministic part."""


class Server:
    """Runs sweeps in forks of one process that has everything imported."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("kill_server.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def run(self, folder: Path, **request: Any) -> Answer:
        """Fork one sweep in ``folder``; see the server for what can be asked."""
        return self.run_all(folder, [request])[0]

    def run_all(self, folder: Path, requests: Sequence[dict[str, Any]]) -> list[Answer]:
        """Fork sweeps that run at once."""
        folder.mkdir(exist_ok=True)
        outputs = [self.folder / str(index) for index in range(len(requests))]
        line = [
            {"cwd": str(folder), "arguments": SWEEP, "signal": signal.SIGKILL}
            | {"output": str(output)}
            | request
            for output, request in zip(outputs, requests, strict=True)
        ]
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(line) + "\n")
        self.process.stdin.flush()
        answers = json.loads(self.process.stdout.readline())
        return [
            Answer(
                **answer,
                output=output.with_suffix(".1").read_text(),
                errors=output.with_suffix(".2").read_text(),
            )
            for answer, output in zip(answers, outputs, strict=True)
        ]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    started = Server(tmp_path_factory.mktemp("server"))
    yield started
    assert started.process.stdin is not None
    started.process.stdin.close()
    started.process.wait()


@pytest.fixture(scope="module")
def whole(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    folder = tmp_path_factory.mktemp("whole") / "run"
    answer = server.run(folder)
    assert answer.code == 0, answer.errors
    content = deterministic_part(folder)
    kinds = [Path(path).parts[0] for path in content]
    counts = {kind: kinds.count(kind) for kind in ("batches", "records", "measurements")}
    assert counts == {"batches": 8 * 3, "records": 4, "measurements": 4 * 2}
    assert answer.steps is not None and set(STEPS) <= set(answer.steps)
    return Whole(**vars(answer), content=content)


def deterministic_part(folder: Path) -> dict[str, bytes]:
    """Batches, records and measurements by their path."""
    store = folder / "turbo-lab-store"
    files = [
        *store.glob("batches/*/*/*"),
        *store.glob("records/*/*"),
        *store.glob("measurements/*/*"),
    ]
    return {str(path.relative_to(store)): path.read_bytes() for path in sorted(files)}


def check_sound(folder: Path) -> None:
    """Whatever is there is whole: pixels as hashed, records of whole cells only."""
    root = folder / "turbo-lab-store"
    if (root / "store.json").exists():
        assert list(maintenance.verify(Store(root), read_sweep_file)) == []


def resume(server: Server, folder: Path, whole: Whole) -> None:
    """Run to the end: the store of the uninterrupted run, and nothing else once gc was there."""
    answer = server.run(folder)
    assert answer.code == 0, answer.errors
    assert deterministic_part(folder) == whole.content
    check_sound(folder)
    store = Store(folder / "turbo-lab-store")
    maintenance.gc(store)
    assert list((store.root / "tmp").iterdir()) == []


def kill_at_random(server: Server, whole: Whole, folder: Path, kills: int, seed: int) -> None:
    """Kill one sweep again and again until it is done, then begin another, ``kills`` times."""
    draws, killed, run = random.Random(seed), 0, 0
    while killed < kills:
        here = folder / f"random-{run}"
        answer = server.run(here, after_s=draws.uniform(0.0, whole.seconds))
        killed += answer.code == -signal.SIGKILL
        check_sound(here)
        if answer.code == 0 or draws.random() < 0.3:
            resume(server, here, whole)
            shutil.rmtree(here)
            run += 1
    if (folder / f"random-{run}").exists():
        resume(server, folder / f"random-{run}", whole)


def test_killed_before_each_step_of_a_commit(server: Server, whole: Whole, tmp_path: Path) -> None:
    """One sweep, killed before one step after the other, and brought to its end."""
    folder = tmp_path / "run"
    for step in STEPS:
        answer = server.run(folder, at_step=step)
        assert answer.code == -signal.SIGKILL, step
        check_sound(folder)
    resume(server, folder, whole)


def test_killed_in_the_middle_of_a_file(server: Server, whole: Whole, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    for largest in (20, 1000, 3000):
        answer = server.run(folder, largest_file=largest, dies_of_it=True)
        assert answer.code == -signal.SIGXFSZ, answer.errors
        half = [path.stat().st_size for path in folder.glob("turbo-lab-store/tmp/*/*")]
        assert largest in half
        check_sound(folder)
    resume(server, folder, whole)


@pytest.mark.slow
def test_killed_at_a_few_random_instants(server: Server, whole: Whole, tmp_path: Path) -> None:
    kill_at_random(server, whole, tmp_path, kills=5, seed=1)


@pytest.mark.slow
def test_killed_before_every_step_of_a_sweep(server: Server, whole: Whole, tmp_path: Path) -> None:
    """The first, the second and the last operation of each kind, each from an empty store."""
    assert whole.steps is not None
    events = set()
    for step in set(whole.steps):
        numbers = [number for number, other in enumerate(whole.steps, 1) if other == step]
        events.update(numbers[:2] + numbers[-1:])
    for event in sorted(events):
        folder = tmp_path / str(event)
        answer = server.run(folder, at_event=event)
        assert answer.code == -signal.SIGKILL, whole.steps[event - 1]
        check_sound(folder)
        resume(server, folder, whole)
        shutil.rmtree(folder)


@pytest.mark.slow
def test_killed_at_fifty_random_instants(server: Server, whole: Whole, tmp_path: Path) -> None:
    kill_at_random(server, whole, tmp_path, kills=50, seed=2)


def test_a_record_follows_its_cells_last_batch(
    server: Server, whole: Whole, tmp_path: Path
) -> None:
    """Not the end of the run: killed before the third one, two are there."""
    assert whole.steps is not None
    folder = tmp_path / "run"
    # The first two documents in place are the store's own, and what the sweep is about to make.
    renames = [n for n, step in enumerate(whole.steps, 1) if step == "os.rename tmp/*.json"]
    assert server.run(folder, at_event=renames[4]).code == -signal.SIGKILL
    store = Store(folder / "turbo-lab-store")
    assert len(list(store.records())) == 2
    assert len(list(store.root.glob("batches/*/*"))) < 8


@pytest.mark.parametrize("seed", [3, pytest.param(4, marks=pytest.mark.slow)])
def test_ctrl_c_keeps_what_is_done_and_says_how_to_resume(
    server: Server, whole: Whole, tmp_path: Path, seed: int
) -> None:
    assert whole.steps is not None
    # At a file operation, not after some seconds: on a busy machine the sweep might have ended.
    # The commit thread does most of them, so the model is at any point of its work meanwhile.
    draws, last = random.Random(seed), int(0.95 * len(whole.steps))
    for index in range(4 if seed == 3 else 30):
        folder = tmp_path / str(index)
        answer = server.run(folder, at_event=draws.randint(1, last), signal=signal.SIGINT)
        assert answer.code == 3, answer.errors
        assert "Traceback" not in answer.errors
        assert "interrupted" in answer.errors and "run the same command" in answer.errors
        check_sound(folder)
        resume(server, folder, whole)


def test_a_full_disk_is_one_line_and_the_next_run_goes_on(
    server: Server, whole: Whole, tmp_path: Path
) -> None:
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("needs root, to mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", str(disk)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount a small disk: {mounted.stderr.strip()}")
    try:
        answer = server.run(disk)
        assert answer.code == 3 and "the disk is full" in answer.errors, answer.errors
        assert "Traceback" not in answer.errors
        check_sound(disk)
        subprocess.run(["mount", "-o", "remount,size=16m", str(disk)], check=True)
        resume(server, disk, whole)
    finally:
        # The handle of its locks is ours until we end: let it go when that does.
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_write_that_fails_is_one_line_and_the_next_run_goes_on(
    server: Server, whole: Whole, tmp_path: Path
) -> None:
    """Refused by the kernel in the middle of an image: no root is needed for that."""
    folder = tmp_path / "run"
    answer = server.run(folder, largest_file=3000)
    assert answer.code == 3 and "File too large" in answer.errors, answer.errors
    assert "Traceback" not in answer.errors
    assert list(folder.glob("turbo-lab-store/tmp/*")) == []
    check_sound(folder)
    resume(server, folder, whole)


def images_drawn(answers: Sequence[Answer]) -> int:
    return sum(json.loads(answer.output)["work"]["vae_rows"]["done"] for answer in answers)


@pytest.mark.parametrize("share", ["exact", "batched"])
def test_two_sweeps_at_once_share_the_work(
    server: Server, whole: Whole, tmp_path: Path, share: str
) -> None:
    """Each leaves the other's locked work alone, and both end with all results."""
    request = {"arguments": [*SWEEP, f"share={share}"]}
    answers = server.run_all(tmp_path / "both", [request, request])
    assert [answer.code for answer in answers] == [0, 0], [a.errors for a in answers]
    assert images_drawn(answers) == 16
    check_sound(tmp_path / "both")
    if share == "exact":
        assert deterministic_part(tmp_path / "both") == whole.content


@pytest.mark.parametrize("step", ["open tmp/*", "shutil.rmtree tmp/*"])
def test_a_sweep_takes_over_what_a_killed_one_had_in_hand(
    server: Server, whole: Whole, tmp_path: Path, step: str
) -> None:
    """The first dies of its first commit, with more batches locked."""
    folder = tmp_path / "both"
    killed, answer = server.run_all(folder, [{"at_step": step}, {}])
    assert killed.code == -signal.SIGKILL
    assert answer.code == 0, answer.errors
    assert deterministic_part(folder) == whole.content


def test_verify_and_gc_next_to_a_running_sweep(
    server: Server, whole: Whole, tmp_path: Path
) -> None:
    """Over and over while it runs: nothing seems damaged, and nothing is taken from it."""
    folder, refused = tmp_path / "run", 0
    store = Store(folder / "turbo-lab-store")
    with ThreadPoolExecutor(max_workers=1) as threads:
        sweep = threads.submit(server.run, folder)
        while not sweep.done():
            assert list(maintenance.verify(store, read_sweep_file)) == []
            maintenance.gc(store)
            maintenance.usage(store)
            try:
                maintenance.gc(store, with_orphans=True)
            except IncompleteError:
                refused += 1
    assert sweep.result().code == 0, sweep.result().errors
    assert refused and deterministic_part(folder) == whole.content
