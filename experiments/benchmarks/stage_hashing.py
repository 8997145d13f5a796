"""Measure the time that hashing every stage adds to a generation.

    python -m experiments.benchmarks.stage_hashing [--pairs 12] [--num-threads 1]

Blocks of both take turns in one process (see ``turbo_lab/runtime/paired_timing.py``), each
run from nothing shared, and the clock is the process's own CPU time, which other
programs do not add to. A sweep hashes on its commit thread; here it is done where the
images are drawn, so that the figure is the most it can add. A golden's marks have a
sketch and the hash. Prints one Markdown row per batch and way.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

from turbo_lab.golden.run_case import Case, CaseRunner, resolve_case, stage_value
from turbo_lab.golden.stages import StageValue, mark
from turbo_lab.runtime.paired_timing import PairedTiming, compare_calls
from turbo_lab.runtime.runners import Drawn
from turbo_lab.runtime.timing import TimingRule
from turbo_lab.store.encode import stage_sha256

PROMPTS = ("prompts=scenes-demo", "seed=1")
RULE = TimingRule("blocks", 1, 0.0, 1, 0.0, 6, 3.0)


Draw = Callable[..., Drawn]


def drawing(runner: CaseRunner, case: Case) -> Draw:
    """Return a call that draws the case's batch, text included; it takes an observer."""
    worker = runner.worker(case)
    return lambda *observe: worker.cold().run(case.batch, case.cell.negative_prompt, *observe)


def kept(draw: Draw) -> tuple[Drawn, dict[str, Any]]:
    """Draw, and keep the tensor of every stage."""
    stages: dict[str, Any] = {}

    def keep(stage: str, tensor: Any) -> Any:
        stages[stage] = tensor
        return tensor

    return draw(keep), stages


def hashing(draw: Draw) -> Callable[[], object]:
    """Return the same call with a sweep's hashes of every stage."""

    def call() -> object:
        return {name: stage_sha256(tensor) for name, tensor in kept(draw)[1].items()}

    return call


def marking(draw: Draw) -> Callable[[], object]:
    """Return the same call with a golden's marks of every stage and the pixels."""

    def call() -> object:
        drawn, stages = kept(draw)
        marks = [mark(stage_value(name, tensor)) for name, tensor in stages.items()]
        return [*marks, mark(StageValue("pixels", "uint8", drawn.pixels))]

    return call


def row(label: str, way: str, found: PairedTiming) -> str:
    """One line of the table."""
    low, high = found.ci95
    noise = found.noise_ci95
    return (
        f"| {label} | {way} | {1e3 * found.a_s:.1f} | {1e3 * found.b_s:.1f} | {found.ratio:.3f} | "
        f"{low:.3f} to {high:.3f} | {noise[0]:.3f} to {noise[1]:.3f} |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=16)
    parser.add_argument("--num-threads", type=int, default=1)
    options = parser.parse_args()
    print("| batch | way | without, CPU ms | with, CPU ms | ratio | 95% of it | without twice |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for images, steps in ((1, 1), (1, 4), (16, 1), (16, 4)):
        settings = (f"num_images={images}", f"batch_size={images}", f"num_inference_steps={steps}")
        case = resolve_case("b", (*PROMPTS, *settings, f"num_threads={options.num_threads}"))
        runner = CaseRunner([case])
        draw = drawing(runner, case)
        for way, wrap in (("hashes of a sweep", hashing), ("marks of a golden", marking)):
            found = compare_calls(
                draw, wrap(draw), RULE, num_pairs=options.pairs, clock=time.process_time_ns
            )
            label = f"{images} x 64x64, {steps} step{'s' if steps > 1 else ''}"
            print(row(label, way, found), flush=True)


if __name__ == "__main__":
    main()
