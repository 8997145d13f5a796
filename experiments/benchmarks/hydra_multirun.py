"""Compare a sweep with the same cells as people write them by hand (``hydra_basic/run.py``).

    python -m experiments.benchmarks.hydra_multirun [--images 4] [--rounds 1] [--num-threads 2]

24 cells, each of a few images, logged to a local MLflow. Both are whole
commands in an empty folder: imports, loading and MLflow's first opening are in
either. Prints one Markdown row per round.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from turbo_lab.cards import locate, model_card
from turbo_lab.request.prompts import DATA, read_prompts

_GRID = ["num_inference_steps=1,2,3,4", "guidance_scale=0,0.5,1,1.5,2,3"]
_BY_HAND = Path(__file__).parent / "hydra_basic" / "run.py"


def timed(command: list[str], images: int) -> tuple[float, float]:
    """Seconds and CPU seconds of a command in a folder that holds nothing but its prompts."""
    prompts = read_prompts(DATA / "scenes-heldout.txt").prompts[:images]
    environment = os.environ | {
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "prompts.txt").write_text("\n".join(prompts) + "\n")
        before, began = os.times(), time.perf_counter()
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        wall_s, after = time.perf_counter() - began, os.times()
        if done.returncode != 0:
            raise SystemExit(done.stderr[-2000:])
        made = len(list(Path(folder).rglob("*.png")))
        assert made >= 16 * images, f"{made} images"
    cpu_s = after.children_user + after.children_system
    return wall_s, cpu_s - before.children_user - before.children_system


def main() -> None:
    """Alternate, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--num-threads", type=int, default=2)
    options = parser.parse_args()
    threads = f"num_threads={options.num_threads}"
    path = locate(model_card("nano-turbo")).path
    by_hand = [sys.executable, str(_BY_HAND), "-m", f"model_path={path}", threads, *_GRID]
    ours = [
        sys.executable,
        "-m",
        "turbo_lab.cli",
        "sweep",
        "prompts=file",
        "prompts.path=prompts.txt",
        "metrics=none",
        "timing=off",
        threads,
        *_GRID,
    ]
    print("| by hand, s (of one CPU) | turbo-lab sweep, s (of one CPU) | times faster |")
    print("| --- | --- | --- |")
    for _ in range(options.rounds):
        hand_s, hand_cpu_s = timed(by_hand, options.images)
        ours_s, ours_cpu_s = timed(ours, options.images)
        print(
            f"| {hand_s:.1f} ({hand_cpu_s:.1f}) | {ours_s:.1f} ({ours_cpu_s:.1f}) "
            f"| {hand_s / ours_s:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
