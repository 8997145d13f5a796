"""Latency, memory and energy of a pipeline at its true size; prints a table and writes JSON.

    python -m experiments.latency [--quick] [--device cuda] [--model NAME] [--out FOLDER]

Runs doctor, the goldens, two fresh processes and the nano model. Times ``pipeline=stock``,
``exact`` and ``fast`` against each other, the image lane's settings, and a sweep against a bare
loop. ``--quick`` ends within six minutes. Every step measures the first two points before any step
measures more. What is measured is written at once: run the same command again to measure the rest.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from experiments.latency import steps
from experiments.latency.grid import FAST_VAES, FIRST_POINTS, Setup
from experiments.latency.plot import stage_plot
from experiments.latency.results import Results, Step
from experiments.latency.table import page
from turbo_lab import environment
from turbo_lab.cards import model_card
from turbo_lab.errors import TurboLabError

RESULTS, PAGE, PLOT = "latency.json", "latency.md", "stages.svg"
QUICK_BUDGET_S, BUDGET_S = 335.0, 3600.0


@dataclass(frozen=True)
class Named:
    """One step of the script, ready to run."""

    name: str
    """Name, as ``--only`` takes it."""
    limit_s: float
    """Time of the step in a quick run. The last one may also take what the others left."""
    run: Callable[[steps.Run], Step]
    """Function that runs it within the time that is left."""
    least_s: float = 15.0
    """Least time in which it is begun; with less, it is left to the next run."""


STEPS = (
    Named("doctor", 15.0, steps.doctor),
    Named("exact", 45.0, steps.exact),
    Named("regional", 75.0, steps.regional),
    Named("goldens", 30.0, steps.goldens),
    Named("fresh", 25.0, steps.fresh_processes),
    Named("determinism", 50.0, steps.determinism),
    Named("sharing", 75.0, steps.shared_work),
    Named("nano", 20.0, steps.nano),
    # It compiles for minutes per shape: begun with less, it would end with nothing.
    Named("fast", 0.0, steps.fast, least_s=90.0),
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
    parser.add_argument("--budget-s", type=_positive, help="end after about so many seconds")
    parser.add_argument("--points", type=_count, help="measure the first so many points only")
    parser.add_argument("--only", type=_steps, default=STEPS, help="steps, such as doctor,exact")
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
    path, failed = args.out / RESULTS, set[str]()
    for num_points in _passes(setup):
        few = replace(setup, num_points=num_points)
        Results.resume(path, few, plain).write(path)
        for step in args.only:
            if step.name not in failed:
                status = _run_step(step, path, left_s=budget_s - (time.monotonic() - began))
                failed |= {step.name} if status == "failed" else set()
                _write_page(args.out)
    results = Results.read(path)
    print((args.out / PAGE).read_text(encoding="utf-8"))
    _say(f"{time.monotonic() - began:.0f} s; {path}, {args.out / PAGE}, {args.out / PLOT}")
    unfinished = [
        name
        for name, step in results.steps.items()
        if step.status != "done" or not steps.is_complete(results, name)
    ]
    if unfinished:
        _say(f"not finished: {', '.join(unfinished)}; run the same command again")
    return 3 if unfinished else 0


def _write_page(folder: Path) -> None:
    """Write the page and the plot of what was measured so far."""
    results = Results.read(folder / RESULTS)
    (folder / PAGE).write_text(page(results), encoding="utf-8")
    (folder / PLOT).write_text(stage_plot(results), encoding="utf-8")


def _passes(setup: Setup) -> list[int | None]:
    """Return the numbers of points after which every step has had its turn."""
    first = [FIRST_POINTS] if len(setup.points) > FIRST_POINTS else []
    return [*first, setup.num_points]


def _run_step(step: Named, path: Path, left_s: float) -> str | None:
    """Run one step unless it is done, and write what became of it; ``None``: it was not run."""
    results = Results.read(path)
    before = results.steps.get(step.name)
    if before is not None and before.status == "done" and steps.is_complete(results, step.name):
        _say(f"{step.name}: done before")
        return None
    if left_s < step.least_s:
        if before is None:
            ended = Step("skipped", 0.0, {"reason": "out of time"})
            results.with_step(step.name, ended).write(path)
        return None
    _say(f"{step.name}: at most {left_s:.0f} s are left")
    is_limited = results.setup.is_quick and step is not STEPS[-1]
    limit_s = min(left_s, step.limit_s) if is_limited else left_s
    began = time.monotonic()
    ended = step.run(steps.Run(path, results.setup, limit_s))
    _say(f"{step.name}: {ended.status} after {time.monotonic() - began:.0f} s")
    if before is not None and before.status == "done":  # what it has found stays
        ended = replace(ended, detail={**before.detail, **ended.detail})
    Results.read(path).with_step(step.name, ended).write(path)
    return ended.status


def _steps(text: str) -> tuple[Named, ...]:
    """Return the steps that are named, in their own order."""
    names = [name for name in text.split(",") if name]
    known = [step.name for step in STEPS]
    for name in names:
        if name not in known:
            raise argparse.ArgumentTypeError(f"{name}: must be one of {', '.join(known)}")
    return tuple(step for step in STEPS if step.name in names)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: must be 1 or more")
    return int(text)


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text}: must be more than 0 seconds")
    return value


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
