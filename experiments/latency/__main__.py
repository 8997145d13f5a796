"""Latency, memory and energy of a pipeline at its true size; prints a table and writes JSON.

    python -m experiments.latency [--quick] [--device cuda] [--model NAME] [--out FOLDER]

Runs doctor, the goldens, two fresh processes and the nano model. Times ``pipeline=stock``,
``exact`` and ``fast`` against each other, the image lane's settings, and a sweep against a bare
loop. ``--quick`` ends within six minutes. What is measured is written at once: run the same command
again to measure the rest.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.latency import steps
from experiments.latency.grid import FAST_VAES, Setup
from experiments.latency.plot import stage_plot
from experiments.latency.results import Results, Step
from experiments.latency.table import page
from turbo_lab import environment
from turbo_lab.cards import model_card
from turbo_lab.errors import TurboLabError

RESULTS, PAGE, PLOT = "latency.json", "latency.md", "stages.svg"
QUICK_BUDGET_S, BUDGET_S = 335.0, 3600.0
# A step that cannot begin properly in this time is left to the next run.
_LEAST_S = 15.0


@dataclass(frozen=True)
class Named:
    """One step of the script, ready to run."""

    name: str
    """Name, as ``--only`` takes it."""
    limit_s: float
    """Time of the step in a quick run. The last one may also take what the others left; their
    sum is the budget."""
    run: Callable[[steps.Run], Step]
    """Function that runs it within the time that is left."""


STEPS = (
    Named("doctor", 20.0, steps.doctor),
    Named("exact", 90.0, steps.exact),
    Named("determinism", 45.0, steps.determinism),
    Named("sharing", 50.0, steps.shared_work),
    Named("goldens", 40.0, steps.goldens),
    Named("fresh", 30.0, steps.fresh_processes),
    Named("nano", 25.0, steps.nano),
    # Compiling takes what is left; the next run goes on from the compiler's cache.
    Named("fast", 35.0, steps.fast),
)


def main(words: Sequence[str] | None = None) -> int:
    """Run what the results lack; returns 3 if something is left or failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="within six minutes")
    parser.add_argument("--device", choices=environment.DEVICES, default="auto")
    parser.add_argument("--model", default="sdxl-turbo-shape", help="name of a model card")
    parser.add_argument("--dtype", help="float16 on a GPU, float32 on a CPU if not given")
    parser.add_argument("--fast-vae", help="VAE of pipeline=fast: a name or a folder")
    parser.add_argument("--out", type=Path, default=Path("turbo-lab-latency"))
    parser.add_argument("--budget-s", type=float, help="begin no step after this many seconds")
    parser.add_argument("--points", type=int, help="measure the first so many points only")
    parser.add_argument("--only", default="", help="steps, such as doctor,exact")
    args = parser.parse_args(words)
    try:
        return _run(args)
    except TurboLabError as error:
        print(f"latency: {error}", file=sys.stderr)
        return error.exit_code


def _run(args: argparse.Namespace) -> int:
    began = time.monotonic()
    device = environment.resolve_device(args.device)
    setup = Setup(
        model=model_card(args.model).name,
        device=device,
        dtype=args.dtype or ("float16" if device == "cuda" else "float32"),
        fast_vae=args.fast_vae or (FAST_VAES.get(args.model) if device == "cuda" else None),
        is_quick=args.quick,
        num_points=args.points,
    )
    budget_s = args.budget_s or (QUICK_BUDGET_S if args.quick else BUDGET_S)
    args.out.mkdir(parents=True, exist_ok=True)
    found = environment.fingerprint(device, num_threads=1, dtype=setup.dtype)
    plain = {"keys": dict(found.keys), "options": dict(found.options)}
    path = args.out / RESULTS
    Results.resume(path, setup, plain).write(path)
    only = [name for name in args.only.split(",") if name]
    for step in STEPS:
        if not only or step.name in only:
            left_s = budget_s - (time.monotonic() - began)
            _run_step(step, path, left_s)
    results = Results.read(path)
    text = page(results)
    (args.out / PAGE).write_text(text, encoding="utf-8")
    (args.out / PLOT).write_text(stage_plot(results), encoding="utf-8")
    print(text)
    _say(f"{time.monotonic() - began:.0f} s; {path}, {args.out / PAGE}, {args.out / PLOT}")
    unfinished = [name for name, step in results.steps.items() if step.status != "done"]
    if unfinished:
        _say(f"not finished: {', '.join(unfinished)}; run the same command again")
    return 3 if unfinished else 0


def _run_step(step: Named, path: Path, left_s: float) -> None:
    """Run one step unless it is done, and write what became of it."""
    results = Results.read(path)
    before = results.steps.get(step.name)
    if before is not None and before.status == "done" and steps.is_complete(results, step.name):
        _say(f"{step.name}: done before")
        return
    if left_s < _LEAST_S:
        ended = Step("skipped", 0.0, {"reason": "out of time"})
    else:
        _say(f"{step.name}: at most {left_s:.0f} s are left")
        is_limited = results.setup.is_quick and step is not STEPS[-1]
        limit_s = min(left_s, step.limit_s) if is_limited else left_s
        began = time.monotonic()
        ended = step.run(steps.Run(path, results.setup, limit_s))
        _say(f"{step.name}: {ended.status} after {time.monotonic() - began:.0f} s")
    Results.read(path).with_step(step.name, ended).write(path)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
