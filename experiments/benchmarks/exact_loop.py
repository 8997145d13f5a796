"""Compare ``pipeline=exact`` with ``pipeline=stock`` on a CPU: what the stock call's detours cost.

    python -m experiments.benchmarks.exact_loop [--batches 1 16] [--rounds 40] [--cpu-time]

Both pipelines of ``nano-turbo`` are loaded in one process and proved equal to the bit. Then each
has one block per round, in an order that a seeded coin decides; ``stock`` runs a second time, which
shows the noise. Prints one Markdown row per batch size and pipeline.
"""

from __future__ import annotations

import argparse
import time

import torch

from experiments.latency.interleaved import Measured, interleave
from turbo_lab import config
from turbo_lab.execute.worker import Worker, worker_for
from turbo_lab.planning.resolved_sweep import ResolvedSweep, resolve_points
from turbo_lab.runtime.timed_call import TimedCall

AGAIN = "stock again"
_WARM_UP = 3


def prepared(pipeline: str, batch_size: int, options: argparse.Namespace) -> TimedCall:
    """Load a pipeline, prove it, and return its call of one batch."""
    words = [
        "model=nano-turbo",
        f"pipeline={pipeline}",
        "device=cpu",
        "prompts=scenes-heldout",
        "guidance_scale=0",
        f"num_inference_steps={options.steps}",
        f"batch_size={batch_size}",
        f"num_images={batch_size}",
        f"num_threads={options.num_threads}",
    ]
    sweep: ResolvedSweep = resolve_points(config.compose("bench", words))
    worker: Worker = worker_for(sweep)
    worker.prepare(sweep.cells[0].recipe)
    call = worker.timed_call(sweep.cells[0])
    exact = worker.resident.exact
    assert exact is None or not exact.given_back, exact.notes()
    return call


def compare(batch_size: int, options: argparse.Namespace) -> dict[str, Measured]:
    """Time both pipelines, and stock once more, in interleaved blocks."""
    calls = {name: prepared(name, batch_size, options) for name in ("stock", "exact")}
    calls[AGAIN] = calls["stock"]
    torch.set_num_threads(options.num_threads)
    for call in calls.values():
        for _ in range(_WARM_UP):
            call()
    clock = time.process_time_ns if options.cpu_time else time.perf_counter_ns
    return interleave(calls, batch_size, options.rounds, options.block_s, clock=clock)


def main() -> None:
    """Measure each batch size, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--block-s", type=float, default=0.3)
    parser.add_argument("--num-threads", type=int, default=1)
    parser.add_argument(
        "--cpu-time", action="store_true", help="CPU time, for a machine that others use as well"
    )
    options = parser.parse_args()
    print("| batch | pipeline | ms per call | 95% of it | of stock | 95% of it |")
    print("| --- | --- | --- | --- | --- | --- |")
    for batch_size in options.batches:
        found = compare(batch_size, options)
        for name, one in found.items():
            print(row(batch_size, name, one, found["stock"]), flush=True)


def row(batch_size: int, name: str, one: Measured, stock: Measured) -> str:
    """Return one row of the table."""
    mean = one.ci95 and f"{1e3 * one.ci95[0]:.2f} to {1e3 * one.ci95[1]:.2f}"
    ratio, interval = one.ratio_to(stock)
    cells = [str(batch_size), name, f"{1e3 * one.mean_s:.2f}", mean or ""]
    if name == "stock":
        cells += ["1", ""]
    else:
        cells += [f"{ratio:.3f}", f"{interval[0]:.3f} to {interval[1]:.3f}" if interval else ""]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
