"""CPU time from a command's start to its first image, compared with an older checkout.

    git worktree add ../before COMMIT
    python -m experiments.benchmarks.cold_start --baseline ../before [--rounds 8]

Every run is a process of its own in an empty folder, on one thread. A round runs the
older checkout and this one in the order A B B A. CPU time is user plus system, so that
other programs do not count. "First image" ends when the first PNG file is opened for
writing; "whole command" includes leaving the process. Prints one Markdown row per
command.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from turbo_lab.analysis.stats import bootstrap_ratio_ci

HERE = Path(__file__).parents[2]
ONE_IMAGE = (
    "sweep",
    "num_images=1",
    "num_inference_steps=1",
    "guidance_scale=0",
    "num_threads=1",
    "metrics=none",
    "timing=off",
)
COMMANDS = {
    "sweep of one image, `tracking=none`": (*ONE_IMAGE, "tracking=none"),
    "sweep of one image, `tracking=local`": (*ONE_IMAGE, "tracking=local"),
    "`golden check` of one case": ("golden", "check", "nano-turbo-1-step"),
}
# Run in the timed process: prints its CPU seconds at the first image on standard error.
_CHILD = """
import os, runpy, sys
from pathlib import Path

def watch(event, arguments):
    if event == "open" and not seen and str(arguments[0]).endswith(".png"):
        if arguments[2] & os.O_CREAT:
            seen.append(sum(os.times()[:2]))
            print("first image:", seen[0], file=sys.stderr)

seen = []
sys.addaudithook(watch)
import turbo_lab
assert Path(turbo_lab.__file__).is_relative_to(os.environ["PYTHONPATH"]), turbo_lab.__file__
runpy.run_module("turbo_lab.cli", run_name="__main__", alter_sys=True)
"""


@dataclass(frozen=True)
class Run:
    """CPU seconds of one process."""

    first_image_s: float | None
    """Until the first PNG file is opened for writing; ``None`` for a command without one."""
    whole_s: float
    """Until the process has ended."""


def run(checkout: Path, python: str, arguments: tuple[str, ...]) -> Run:
    """Run a command of the package in ``checkout``, in an empty folder."""
    environment = os.environ | {
        "PYTHONPATH": str(checkout),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "OMP_NUM_THREADS": "1",
    }
    with tempfile.TemporaryDirectory() as folder:
        before = os.times()
        done = subprocess.run(
            [python, "-c", _CHILD, *arguments],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        after = os.times()
    if done.returncode != 0:
        raise SystemExit(done.stdout[-2000:] + done.stderr[-2000:])
    first = [line for line in done.stderr.splitlines() if line.startswith("first image:")]
    whole_s = after.children_user + after.children_system
    whole_s -= before.children_user + before.children_system
    return Run(float(first[0].split()[-1]) if first else None, whole_s)


def row(label: str, until: str, before: list[float], after: list[float]) -> str:
    """One line of the table; the interval is that of the ratio of means over pairs of runs."""
    ratio = np.mean(after) / np.mean(before)
    interval = bootstrap_ratio_ci(after, before, seed=0)
    limits = "too few rounds" if interval is None else f"{interval[0]:.2f} to {interval[1]:.2f}"
    return (
        f"| {label} | {until} | {np.mean(before):.2f} | {np.mean(after):.2f} "
        f"| {ratio:.2f} | {limits} |"
    )


def main() -> None:
    """Alternate, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--baseline", type=Path, required=True, help="the older checkout")
    parser.add_argument("--baseline-python", default=sys.executable, help="its interpreter")
    parser.add_argument("--rounds", type=int, default=8, help="of two pairs of runs")
    options = parser.parse_args()
    older, newer = (options.baseline.resolve(), options.baseline_python), (HERE, sys.executable)
    print("| command | until | before, CPU s | after, CPU s | ratio | 95% of it |")
    print("| --- | --- | --- | --- | --- | --- |")
    for label, arguments in COMMANDS.items():
        for side in (older, newer):  # writes byte code and fills the disk's cache
            run(*side, arguments)
        runs: dict[tuple[Path, str], list[Run]] = {older: [], newer: []}
        for side in (older, newer, newer, older) * options.rounds:
            runs[side].append(run(*side, arguments))
        firsts = [[one.first_image_s for one in runs[side]] for side in (older, newer)]
        if firsts[0][0] is not None:
            print(row(label, "first image", *firsts), flush=True)
        whole = [[one.whole_s for one in runs[side]] for side in (older, newer)]
        print(row(label, "whole command", *whole), flush=True)


if __name__ == "__main__":
    main()
