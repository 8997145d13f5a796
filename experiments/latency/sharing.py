"""A bare loop over the stock pipeline: what a sweep's wall time is compared with.

    python -m experiments.latency.sharing FILE ROUNDS

Owns the grid. Each cell is one call of the pipeline's own; nothing is kept.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.latency.grid import Setup
from experiments.latency.results import Results
from turbo_lab.cards import locate, model_card
from turbo_lab.request.prompts import DATA, read_prompts
from turbo_lab.request.recipe import Layout, image_order, split_layouts
from turbo_lab.request.scheduler import canonical_scheduler


@dataclass(frozen=True)
class Grid:
    """Cells of a sweep: every number of steps with every guidance scale."""

    steps: tuple[int, ...]
    """Denoising steps."""
    guidances: tuple[float, ...]
    """Guidance scales."""
    batch_size: int
    """Images per cell, in one call."""

    def words(self, setup: Setup) -> list[str]:
        """Return the command line of the sweep."""
        return [
            f"model={setup.model}",
            f"device={setup.device}",
            f"dtype={setup.dtype}",
            "prompts=scenes-heldout",
            f"num_inference_steps={','.join(map(str, self.steps))}",
            f"guidance_scale={','.join(map(str, self.guidances))}",
            f"resolution={setup.points[0].resolution}",
            f"num_images={self.batch_size}",
            f"batch_size={self.batch_size}",
        ]


def grid(setup: Setup) -> Grid:
    """Return the grid of the goal: 24 cells, 16 images each; on a CPU a small one."""
    if setup.device == "cpu":
        return Grid((1, 2), (0, 2), 2)
    return Grid((1, 2, 3, 4), (0, 0.5, 1, 1.5, 2, 3), 16)


def checked(setup: Setup) -> Grid:
    """Return the cells that are drawn once more with nothing shared; all of them in a full run."""
    whole = grid(setup)
    if setup.device == "cpu" or not setup.is_quick:
        return whole
    return Grid((1, 4), (0, 2), whole.batch_size)


def bare_loop(setup: Setup, rounds: int) -> list[float]:
    """Return the seconds of each round over all cells, after one that is not counted."""
    import torch

    from turbo_lab.runtime.pipeline import load_pipeline

    torch.set_num_threads(1)
    card = model_card(setup.model)
    files = locate(card)
    scheduler = canonical_scheduler(files.scheduler, card.scheduler, None)
    pipeline = load_pipeline(files.source, scheduler, setup.dtype, torch.device(setup.device))
    chosen = grid(setup)
    prompts = read_prompts(DATA / "scenes-heldout.txt").prompts
    (layout,) = split_layouts(
        *image_order(prompts, chosen.batch_size, 0, "increment"), chosen.batch_size
    )
    for guidance in (chosen.guidances[0], chosen.guidances[-1]):  # both numbers of rows
        draw(pipeline, setup, layout, 1, guidance)
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        for steps in chosen.steps:
            for guidance in chosen.guidances:
                draw(pipeline, setup, layout, steps, guidance)
        taken.append(time.perf_counter() - began)
    return taken


def draw(pipeline: Any, setup: Setup, layout: Layout, steps: int, guidance: float) -> None:
    """Draw one cell by the pipeline's own call; its images reach the CPU."""
    from turbo_lab.runtime.noise import image_generators

    width, _, height = setup.points[0].resolution.partition("x")
    pipeline(
        prompt=list(layout.prompts),
        num_inference_steps=steps,
        guidance_scale=guidance,
        width=int(width),
        height=int(height),
        generator=image_generators(layout.seeds),
    )


def main(words: Sequence[str]) -> None:
    """Print the seconds of the bare loop as JSON."""
    setup = Results.read(Path(words[0])).setup
    print(json.dumps({"bare_s": bare_loop(setup, int(words[1]))}))


if __name__ == "__main__":
    main(sys.argv[1:])
