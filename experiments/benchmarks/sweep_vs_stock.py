"""Compare a sweep with a bare loop over the stock pipeline and with the ideal of its own work.

    python -m experiments.benchmarks.sweep_vs_stock [--seeds 4] [--rounds 3] [--num-threads 2]

Steps 1 to 4 x guidance 0, 0.5, 1, 1.5, 2, 3 on 16 prompts, batches of 16. The
bare loop calls the pipeline for each of the 24 cells and keeps nothing. The
ideal is the least that images of the same bits cost: 45 UNet rows, 16 decodes
and one encode per image, at the cost that each has in this very run. Rounds
alternate, so that a machine whose speed drifts drifts for all. Loading is left
out everywhere. Prints one Markdown row per variant.
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
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from turbo_lab.cards import locate, model_card
from turbo_lab.request.prompts import DATA, read_prompts
from turbo_lab.request.recipe import Layout, image_order, split_layouts
from turbo_lab.request.scheduler import canonical_scheduler
from turbo_lab.runtime.noise import image_generators
from turbo_lab.runtime.pipeline import load_pipeline

STEPS, GUIDANCE, BATCH_SIZE = (1, 2, 3, 4), (0, 0.5, 1, 1.5, 2, 3), 16
VARIANTS = {
    "`share=exact tracking=none`": ["share=exact", "tracking=none"],
    "`share=batched tracking=none`": ["share=batched", "tracking=none"],
    "`share=none tracking=none`": ["share=none", "tracking=none"],
    "`share=exact tracking=local`": ["share=exact", "tracking=local"],
}
# UNet calls of a batch in share=exact: of N rows unguided, of 2N guided (see plan.py).
_UNGUIDED_CALLS = 1 + sum(steps - 1 for steps in STEPS)
_GUIDED_CALLS = 1 + 3 * sum(steps - 1 for steps in STEPS)
_DECODES = len(STEPS) * 4


def prompts() -> tuple[str, ...]:
    """The first sixteen of the held-out scenes."""
    return read_prompts(DATA / "scenes-heldout.txt").prompts[:16]


def layouts(seeds: int) -> tuple[Layout, ...]:
    """Batches of 16 prompts with as many seeds each."""
    return split_layouts(*image_order(prompts(), 16 * seeds, 0, "increment"), BATCH_SIZE)


def bare_loop(pipeline: Any, seeds: int) -> float:
    """Seconds for every cell through ``StableDiffusionXLPipeline.__call__``; nothing is kept."""
    began = time.perf_counter()
    for steps in STEPS:
        for guidance in GUIDANCE:
            for layout in layouts(seeds):
                call(pipeline, layout, steps, guidance)
    return time.perf_counter() - began


def call(pipeline: Any, layout: Layout, steps: int, guidance: float) -> None:
    """One batch of one cell."""
    pipeline(
        prompt=list(layout.prompts),
        num_inference_steps=steps,
        guidance_scale=guidance,
        width=64,
        height=64,
        generator=image_generators(layout.seeds),
    )


@torch.inference_mode()
def ideal(pipeline: Any, seeds: int) -> float:
    """Seconds of the grid's own work: the cost of each call now, times how often it is needed."""
    unet, vae = pipeline.unet, pipeline.vae
    side = 64 // pipeline.vae_scale_factor
    texts = list(prompts())
    embeds, _, pooled, _ = pipeline.encode_prompt(texts, device=torch.device("cpu"))
    latents = torch.randn(BATCH_SIZE, unet.config.in_channels, side, side)

    def evaluate(times: int) -> None:
        unet(
            torch.cat([latents] * times),
            torch.tensor(999.0),
            encoder_hidden_states=torch.cat([embeds] * times),
            added_cond_kwargs={
                "text_embeds": torch.cat([pooled] * times),
                "time_ids": torch.zeros(times * BATCH_SIZE, 6),
            },
        )

    one_batch = (
        _UNGUIDED_CALLS * seconds(lambda: evaluate(1))
        + _GUIDED_CALLS * seconds(lambda: evaluate(2))
        + _DECODES * seconds(lambda: vae.decode(latents))
        + seconds(lambda: pipeline.encode_prompt(texts, device=torch.device("cpu")))
    )
    return one_batch * len(layouts(seeds))


def seconds(work: Callable[[], object], repeats: int = 5) -> float:
    """The mean of a few calls after one that is not counted."""
    work()
    began = time.perf_counter()
    for _ in range(repeats):
        work()
    return (time.perf_counter() - began) / repeats


def sweep(overrides: list[str], seeds: int, num_threads: int) -> float:
    """Seconds of the same cells by ``turbo-lab sweep``: batches, commits and MLflow."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "prompts.txt").write_text("\n".join(prompts()) + "\n")
        command = [
            sys.executable,
            "-m",
            "turbo_lab.cli",
            "sweep",
            "--json",
            "prompts=file",
            "prompts.path=prompts.txt",
            f"num_inference_steps={','.join(map(str, STEPS))}",
            f"guidance_scale={','.join(map(str, GUIDANCE))}",
            f"num_images={16 * seeds}",
            f"batch_size={BATCH_SIZE}",
            f"num_threads={num_threads}",
            "metrics=none",
            "timing=off",
            *overrides,
        ]
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
    assert document["counts"]["done"] == document["counts"]["distinct"] == 16
    return float(document["wall_s"] + document["tracking_s"])


def main() -> None:
    """Alternate, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--num-threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.num_threads)
    card = model_card("nano-turbo")
    files = locate(card)
    scheduler = canonical_scheduler(files.scheduler, card.scheduler, None)
    pipeline = load_pipeline(files.source, scheduler, "float32", torch.device("cpu"))
    call(pipeline, layouts(1)[0], 1, 2.0)  # warm-up
    taken: dict[str, list[float]] = {name: [] for name in VARIANTS}
    bare: list[float] = []
    least: list[float] = []
    for _ in range(options.rounds):
        bare.append(bare_loop(pipeline, options.seeds))
        least.append(ideal(pipeline, options.seeds))
        for name, overrides in VARIANTS.items():
            taken[name].append(sweep(overrides, options.seeds, options.num_threads))
    _print_table(bare, least, taken)


def _print_table(bare: list[float], least: list[float], taken: dict[str, list[float]]) -> None:
    """``not model``: what a sweep takes beyond the ideal, as a share of its time."""
    print(f"bare loop: {', '.join(f'{value:.1f}' for value in bare)} s")
    ratios = [a / b for a, b in zip(least, bare, strict=True)]
    print("| variant | of the bare loop | of the ideal | not model | each of the bare loop |")
    print("| --- | --- | --- | --- | --- |")
    _print_row("ideal of `share=exact`", ratios, [1.0] * len(bare))
    for name, values in taken.items():
        of_bare = [a / b for a, b in zip(values, bare, strict=True)]
        of_ideal = [a / b for a, b in zip(values, least, strict=True)]
        _print_row(name, of_bare, of_ideal)


def _print_row(name: str, of_bare: list[float], of_ideal: list[float]) -> None:
    ratio = statistics.median(of_ideal)
    # Other ways of sharing have another ideal.
    beyond = f"{1 - 1 / ratio:.1%}" if "share=exact" in name else ""
    rounds = ", ".join(f"{value:.2f}" for value in of_bare)
    print(f"| {name} | {statistics.median(of_bare):.2f} | {ratio:.2f} | {beyond} | {rounds} |")


if __name__ == "__main__":
    main()
