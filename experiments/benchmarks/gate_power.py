"""How long the release gate takes, and how surely it calls a loss.

    python -m experiments.benchmarks.gate_power [--gates 1] [--timings 25] [--losses 200]

Whole gates of nano-turbo against itself, each in a folder and a process of its own.
The latency check, once with a candidate that takes 40% longer and once with an equal
one. CLIP score: images of the pipeline blended with those of other prompts until
their mean score is 0.04 lower, on disjoint seeds and on the same, each pair through
the gate's rule.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from turbo_lab.analysis import stats
from turbo_lab.api.sides import compose_side
from turbo_lab.compare.paired import ScoredImages, apply_holm, compare_metric
from turbo_lab.compare.sides import draw_side, features_of
from turbo_lab.execute.worker import worker_for
from turbo_lab.gate import checks
from turbo_lab.gate.policy import Policy
from turbo_lab.gate.trials import by_prompt
from turbo_lab.metrics.evaluate import loaded_extractor
from turbo_lab.metrics.inputs import unit_rows
from turbo_lab.planning.resolved_sweep import measuring
from turbo_lab.runtime.host import HostLoad
from turbo_lab.runtime.paired_timing import compare_calls
from turbo_lab.store.record import Measurement
from turbo_lab.store.store import images_of, read_image
from turbo_lab.verdict import Verdict
from turbo_lab.workflows.results import metric_context

MARGIN, LOSS = 0.02, 0.04
LATENCY_MARGIN, SLOWER = 0.2, 1.4
POLICY = {"name": "power", "quality": {"clip_score": {"margin": MARGIN}}}


def whole_gate(policy: str, num_threads: int) -> str:
    """One row of the table: the seconds of a process that runs it all."""
    command = [
        sys.executable,
        "-m",
        "turbo_lab.cli",
        "gate",
        f"gate={policy}",
        "baseline.model=nano-turbo",
        f"num_threads={num_threads}",
    ]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    with tempfile.TemporaryDirectory() as folder:
        load, began = HostLoad(), time.perf_counter()
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        wall_s = time.perf_counter() - began
        others = load.other_cores()
    verdict = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else done.stderr
    busy = "unknown" if others is None else f"{max(0.0, others):.1f}"
    return f"| {policy} | {wall_s:.0f} | {verdict} | {busy} |"


def latency_calls(factor: float, count: int, num_threads: int) -> list[str]:
    """Verdicts of the latency check of a candidate that takes ``factor`` times as long.

    One image a call: the shortest that there is, and so the noisiest.
    """
    sweep = compose_side(
        "gate",
        "candidate",
        ["gate=release", "tracking=none", "batch_size=1", f"num_threads={num_threads}"],
    )
    worker, cell = worker_for(sweep), sweep.cells[0]
    worker.prepare(cell.recipe)
    call = worker.timed_call(cell)
    verdicts = []
    with worker.thread_count():
        for seed in range(count):
            found = compare_calls(call, slowed(call, factor), "short", seed=seed)
            row = checks.ratio_check("latency", found.blocks_b_s, found.blocks_a_s, LATENCY_MARGIN)
            verdicts.append(apply_holm([row])[0].verdict)
    return verdicts


def slowed(call: Callable[[], object], factor: float) -> Callable[[], object]:
    """The same call, and then the processor kept busy for the rest of its time."""

    def slow() -> None:
        began = time.perf_counter()
        call()
        end = began + factor * (time.perf_counter() - began)
        while time.perf_counter() < end:
            pass

    return slow if factor > 1 else call


def clip_score_losses(count: int, num_threads: int, num_seeds: int = 8) -> dict[str, list[str]]:
    """Verdicts of a loss of 0.04, by how the two sides' seeds are drawn."""
    policy = Policy.from_config(POLICY)
    with tempfile.TemporaryDirectory() as folder:
        words = [
            "gate=release",
            f"store={folder}",
            f"num_images={128 * num_seeds}",
            f"num_threads={num_threads}",
        ]
        sweep = compose_side("gate", "candidate", words)
        drawn = draw_side("the candidate", measuring(sweep, tuple(policy.quality)))
        keys, _, _ = features_of(drawn)
        rows = images_of(drawn.done.store, drawn.done.record)
        pixels = np.stack([read_image(path, sha) for path, sha, *_ in rows])
    extractor = loaded_extractor(metric_context(drawn.sweep.options.metrics, []))
    prompts = [prompt for prompt, _ in keys]
    texts = unit_rows(extractor.text_features(prompts))

    def scores(images: np.ndarray) -> np.ndarray:
        return np.einsum("nd,nd->n", unit_rows(extractor.image_features(images)), texts)

    healthy = scores(pixels)
    share = _share_that_loses(scores, pixels, healthy)
    lost = scores(_blended(pixels, share))
    print(f"blend {share:.3f}: CLIP score {healthy.mean():.4f} to {lost.mean():.4f}", flush=True)
    order = by_prompt(keys)
    return {
        "disjoint seeds": _verdicts(healthy[order], lost[order], count, same=False),
        "the same seeds": _verdicts(healthy[order], lost[order], count, same=True),
    }


def _blended(pixels: np.ndarray, share: float) -> np.ndarray:
    """A share of the image of another prompt in each."""
    mixed = (1 - share) * pixels.astype(np.float32) + share * np.roll(pixels, 17, axis=0)
    blended: np.ndarray = np.round(mixed).astype(np.uint8)
    return blended


def _share_that_loses(
    scores: Callable[[np.ndarray], np.ndarray], pixels: np.ndarray, healthy: np.ndarray
) -> float:
    """The share of the other image at which the mean loss is 0.04, by bisection."""
    low, high = 0.0, 0.5
    for _ in range(8):
        middle = (low + high) / 2
        loss = float((healthy - scores(_blended(pixels, middle))).mean())
        low, high = (middle, high) if loss < LOSS else (low, middle)
    return (low + high) / 2


def _verdicts(healthy: np.ndarray, lost: np.ndarray, count: int, same: bool) -> list[str]:
    """(prompts, seeds) scores each; a candidate of the lost against a baseline of the healthy."""
    generator, found = np.random.default_rng(0), []
    rows = np.arange(len(healthy))
    for _ in range(count):
        order = generator.permuted(np.tile(np.arange(healthy.shape[1]), (len(rows), 1)), axis=1)
        first, second = lost[rows, order[:, 0]], healthy[rows, order[:, 0 if same else 1]]
        keys = [(str(row), 0) for row in rows]
        sides = [ScoredImages(_measured(values), keys) for values in (first, second)]
        row = compare_metric(*sides, MARGIN)
        found.append(apply_holm([row])[0].verdict)
    return found


def _measured(values: np.ndarray) -> Measurement:
    return Measurement(
        "clip_score",
        float(values.mean()),
        "cosine",
        len(values),
        "higher",
        "f",
        None,
        per_image=tuple(float(v) for v in values),
    )


def print_rates(title: str, verdicts: list[str]) -> None:
    """A row of the table: how often each verdict was given, and the power with its interval."""
    called = np.array([verdict == Verdict.REGRESSION for verdict in verdicts], dtype=float)
    low, high = stats.proportion_ci(called) or (0.0, 1.0)
    counts: dict[str, Any] = {
        v: verdicts.count(v) for v in (Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.REGRESSION)
    }
    cells = " | ".join(str(count) for count in counts.values())
    print(f"| {title} | {cells} | {called.mean():.1%} ({low:.1%} to {high:.1%}) |", flush=True)


def main() -> None:
    """Run all three, and print their tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gates", type=int, default=1)
    parser.add_argument("--timings", type=int, default=25)
    parser.add_argument("--losses", type=int, default=200)
    parser.add_argument("--num-threads", type=int, default=2)
    options = parser.parse_args()
    print("| gate | seconds | verdict | cores used by others |\n| --- | --- | --- | --- |")
    for policy in ("release", "release-timing") * options.gates:
        print(whole_gate(policy, options.num_threads), flush=True)
    print("\n| candidate | pass | inconclusive | regression | called |")
    print("| --- | --- | --- | --- | --- |")
    if options.timings:
        for factor in (SLOWER, 1.0):
            verdicts = latency_calls(factor, options.timings, options.num_threads)
            print_rates(f"{factor - 1:.0%} slower, margin {LATENCY_MARGIN:.0%}", verdicts)
    if options.losses:
        for name, verdicts in clip_score_losses(options.losses, options.num_threads).items():
            print_rates(f"CLIP score {LOSS} lower, margin {MARGIN}, {name}", verdicts)


if __name__ == "__main__":
    main()
