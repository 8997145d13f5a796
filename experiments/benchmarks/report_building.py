"""Seconds to build the page of a large sweep, and for Chromium to open it.

    python -m experiments.benchmarks.report_building [--seeds 25] [--rounds 3]

Runs a real sweep of 3 step counts x 4 guidance scales x SEEDS seeds (300 cells
by default, 4 images each) in a folder of its own, then ``turbo-lab report`` on
it. Opening is a headless Chromium that loads the page, scripts run, less one
that loads an empty page.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path


def seconds(command: Sequence[str], folder: Path) -> float:
    """Wall time of a command that must succeed."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    began = time.perf_counter()
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    return time.perf_counter() - began


def opening(page: str, folder: Path) -> float:
    """Of a headless Chromium, its start included."""
    with tempfile.TemporaryDirectory() as profile:
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--dump-dom"]
        return seconds(["chromium", *flags, f"--user-data-dir={profile}", page], folder)


def main() -> None:
    """Print one Markdown row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=25)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    turbo_lab = [sys.executable, "-m", "turbo_lab.cli"]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        grid = ["num_inference_steps=1,2,3", "guidance_scale=0,1.5,2,3"]
        seeds = f"seed=range(0,{args.seeds})"
        plain = ["num_images=4", "num_threads=1", "timing=off", "tracking=none"]
        seconds([*turbo_lab, "sweep", *grid, seeds, *plain, "metrics.names=clip_score"], folder)
        (sweep,) = folder.glob("turbo-lab-store/sweeps/*/sweep.json")
        report = [*turbo_lab, "report", str(sweep), "--output", "page.html"]
        built = [seconds(report, folder) for _ in range(args.rounds)]
        page = folder / "page.html"
        empty = [opening("about:blank", folder) for _ in range(args.rounds)]
        opened = [opening(page.as_uri(), folder) for _ in range(args.rounds)]
        took = statistics.median(opened) - statistics.median(empty)
        print("| cells | building, s | opening, s | page, MB |\n| --- | --- | --- | --- |")
        builds = ", ".join(f"{value:.2f}" for value in built)
        print(f"| {12 * args.seeds} | {builds} | {took:.2f} | {page.stat().st_size / 1e6:.1f} |")


if __name__ == "__main__":
    main()
