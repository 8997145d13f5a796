"""A sweep beside a bare loop over the stock pipeline: same cells, batches and threads.

    python -m experiments.benchmarks.sweep_vs_stock [--images 64] [--rounds 3]

Rounds alternate between the two, so that a machine whose speed drifts drifts
for both. Loading is left out of either. Prints one Markdown row a variant:
the ratio of each round, and their median.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from turbo_lab.cards import locate, model_card
from turbo_lab.prompts import DATA, read_prompts
from turbo_lab.resolve import canonical_scheduler
from turbo_lab.runtime.noise import image_generators
from turbo_lab.runtime.pipeline import load_pipeline
from turbo_lab.spec import image_order, split_layouts

STEPS, GUIDANCE, BATCH_SIZE = (1, 2, 4), (0, 2), 16
VARIANTS = {
    "share=exact tracking=none": ["share=exact", "tracking=none"],
    "share=none tracking=none": ["share=none", "tracking=none"],
    "share=exact tracking=local": ["share=exact", "tracking=local"],
}


def bare_loop(pipeline: Any, images: int) -> float:
    """Seconds for every cell through ``StableDiffusionXLPipeline.__call__``; nothing is kept."""
    prompts = read_prompts(DATA / "scenes-heldout.txt").prompts
    layouts = split_layouts(*image_order(prompts, images, 0, "increment"), BATCH_SIZE)
    began = time.perf_counter()
    for steps in STEPS:
        for guidance in GUIDANCE:
            for layout in layouts:
                pipeline(
                    prompt=list(layout.prompts),
                    num_inference_steps=steps,
                    guidance_scale=guidance,
                    width=64,
                    height=64,
                    generator=image_generators(layout.seeds),
                )
    return time.perf_counter() - began


def sweep(overrides: list[str], images: int, num_threads: int) -> float:
    """Seconds of the same cells by ``turbo-lab sweep``: batches, commits and MLflow."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable, "-m", "turbo_lab.cli", "sweep", "--json",
            f"num_inference_steps={','.join(map(str, STEPS))}",
            f"guidance_scale={','.join(map(str, GUIDANCE))}",
            f"num_images={images}", f"batch_size={BATCH_SIZE}", f"num_threads={num_threads}",
            "metrics=none", "timing=off", *overrides,
        ]  # fmt: skip
        root = str(Path(__file__).parents[2])
        done = subprocess.run(
            command,
            cwd=folder,
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": root},
        )
    document = json.loads(done.stdout)
    return float(document["wall_s"] + document["tracking_s"])


def main() -> None:
    """Alternate, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--num-threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.num_threads)
    card = model_card("nano-turbo")
    files = locate(card)
    scheduler = canonical_scheduler(files.scheduler, card.scheduler, None)
    pipeline = load_pipeline(files.path, scheduler, "float32", torch.device("cpu"))
    bare_loop(pipeline, BATCH_SIZE)  # warm-up
    ratios: dict[str, list[float]] = {name: [] for name in VARIANTS}
    bare: list[float] = []
    for _ in range(options.rounds):
        bare.append(bare_loop(pipeline, options.images))
        for name, overrides in VARIANTS.items():
            ratios[name].append(sweep(overrides, options.images, options.num_threads) / bare[-1])
    print(f"bare loop: {', '.join(f'{value:.1f}' for value in bare)} s")
    print("| sweep | ratio to the bare loop, median | each round |\n| --- | --- | --- |")
    for name, values in ratios.items():
        rounds = ", ".join(f"{value:.2f}" for value in values)
        print(f"| `{name}` | {statistics.median(values):.2f} | {rounds} |")


if __name__ == "__main__":
    main()
