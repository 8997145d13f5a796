"""The steps of the script: each runs turbo-lab in processes of its own, within a time limit.

Owns what each step asks and keeps. A step that fails or runs out of time does not stop the
others: its status says so.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.latency import lanes, sharing
from experiments.latency.grid import REGIONAL, Setup
from experiments.latency.results import Results, Step

ROOT = Path(__file__).parents[2]
EXACT, FAST, BLOCKS = "stock and exact", "stock and fast", "stock and fast, regional"
# Every way in which a draw may depend on a process: guidance, a LoRA, several rows.
_FRESH = ["guidance_scale=0,2", "lora=none,flat", "num_images=32", "num_inference_steps=1"]
_PLAIN = ["metrics=none", "timing=off", "tracking=none", "num_threads=1", "--json"]


@dataclass(frozen=True)
class Run:
    """What a step needs to know."""

    path: Path
    """File of the results."""
    setup: Setup
    """Model, device and precision."""
    limit_s: float
    """Longest time that the step may take, in seconds."""


class StepFailed(RuntimeError):
    """A process that ended with an error, or gave no document."""


def doctor(run: Run) -> Step:
    """Keep what ``turbo-lab doctor`` says of this machine that is not simply in order."""

    def ask() -> dict[str, Any]:
        found = _document(_start("turbo_lab.cli", "doctor", "--json"), run.limit_s)
        rows = [row for row in found["findings"] if row["status"] != "ok"]
        gpu = [row["detail"] for row in found["findings"] if row["name"] == "gpu"]
        return {"verdict": found["verdict"], "gpu": gpu, "findings": rows}

    return _timed(ask)


def goldens(run: Run) -> Step:
    """Check the packaged goldens on the device; they were made on a CPU."""

    def ask() -> dict[str, Any]:
        words = ["golden", "check", f"device={run.setup.device}", "--json"]
        found = _document(_start("turbo_lab.cli", *words), run.limit_s)
        tiers: dict[str, int] = {}
        for case in found["cases"]:
            tiers[case["tier"] or "none"] = tiers.get(case["tier"] or "none", 0) + 1
        return {"verdict": found["verdict"], "cases": len(found["cases"]), "tiers": tiers}

    return _timed(ask)


def fresh_processes(run: Run) -> Step:
    """Draw the same images in two fresh processes, side by side, and compare their pixels."""

    def ask() -> dict[str, Any]:
        with tempfile.TemporaryDirectory(prefix="turbo-lab-latency-") as folder:
            words = ["sweep", "model=nano-turbo", f"device={run.setup.device}", *_FRESH, *_PLAIN]
            left_s = _countdown(run.limit_s)
            begun = [
                _start("turbo_lab.cli", *words, f"store={folder}/{number}") for number in (1, 2)
            ]
            try:
                first, second = (_pixels(_document(one, left_s())) for one in begun)
            finally:
                for one in begun:
                    _end(one)
        same = sum(a == b for a, b in zip(first, second, strict=True))
        return {"images": len(first), "identical": same}

    return _timed(ask)


def nano(run: Run) -> Step:
    """Time the model that ships: what launches cost where there is next to no work."""

    def ask() -> dict[str, Any]:
        words = [
            "bench",
            "model=nano-turbo",
            f"device={run.setup.device}",
            "pipeline=stock,exact",
            "num_threads=1",
            "batch_size=1,16",
            "num_images=16",
            "timing=short",
            "--json",
        ]
        found = _document(_start("turbo_lab.cli", *words), run.limit_s)
        return {
            "cells": [
                {
                    "pipeline": cell["axes"]["pipeline"],
                    "batch_size": cell["batch_size"],
                    "latency_s": cell["latency_s"]["p50"],
                    "ci95": cell["latency_s"]["ci95"],
                    "stages_s": cell["stages_s"],
                }
                for cell in found["cells"]
            ]
        }

    return _timed(ask)


def exact(run: Run) -> Step:
    """Measure ``pipeline=exact`` against ``stock``."""
    return _measured(run, EXACT, ["stock", "exact"])


def fast(run: Run) -> Step:
    """Measure ``pipeline=fast`` against ``stock``; it compiles once per shape."""
    return _measured(run, FAST, ["stock", "fast"])


def regional(run: Run) -> Step:
    """Measure ``fast`` with the UNet's repeated blocks compiled, which takes less time."""
    return _measured(run, BLOCKS, ["stock", REGIONAL])


def determinism(run: Run) -> Step:
    """Measure what each setting of the image lane costs, and how many pixels it changes."""

    def ask() -> dict[str, Any]:
        begun = _start("experiments.latency.lanes", str(run.path))
        found = _document(begun, run.limit_s)
        figures = [one for one in Results.read(run.path).figures if one.process == lanes.PROCESS]
        return {**found, "points": len({one.point for one in figures})}

    return _timed(ask)


def shared_work(run: Run) -> Step:
    """Compare sweeps with a bare loop: wall time, and whether shared work keeps every pixel."""

    def ask() -> dict[str, Any]:
        left_s = _countdown(run.limit_s)
        rounds = 1 if run.setup.is_quick else 3
        begun = _start("experiments.latency.sharing", str(run.path), str(rounds))
        bare_s = _document(begun, left_s())["bare_s"]
        grids = {"exact": sharing.grid(run.setup), "none": sharing.checked(run.setup)}
        taken: dict[str, list[float]] = {}
        pixels: dict[str, dict[str, list[str]]] = {}
        for number in range(rounds):
            for share, grid in grids.items():
                with tempfile.TemporaryDirectory(prefix="turbo-lab-latency-") as folder:
                    words = [*grid.words(run.setup), "pipeline=exact", f"share={share}", *_PLAIN]
                    begun = _start("turbo_lab.cli", "sweep", *words, f"store={folder}/{number}")
                    found = _document(begun, left_s())
                taken.setdefault(share, []).append(found["wall_s"])
                pixels[share] = {
                    cell["cell_id"]: _pixels({"cells": [cell]}) for cell in found["cells"]
                }
        pairs = [
            pair
            for cell, alone in pixels["none"].items()
            for pair in zip(alone, pixels["exact"][cell], strict=True)
        ]
        return {
            "bare_s": bare_s,
            "sweep_s": taken["exact"],
            "of_bare": statistics.median(taken["exact"]) / statistics.median(bare_s),
            "unshared_s": taken["none"],
            "images": len(pairs),
            "identical": sum(first == second for first, second in pairs),
        }

    return _timed(ask)


def is_complete(results: Results, name: str) -> bool:
    """Return whether a step that is done has nothing left, as after a quick run."""
    if name == "determinism":
        return all(results.of(lanes.PROCESS, point) for point in lanes.points(results.setup))
    process = {"exact": EXACT, "regional": BLOCKS, "fast": FAST}.get(name)
    if process is None:
        return True
    return all(results.of(process, point) for point in results.setup.points)


def _measured(run: Run, process: str, pipelines: Sequence[str]) -> Step:
    """Run :mod:`experiments.latency.measure`, which writes into the file as it goes."""

    def ask() -> dict[str, Any]:
        begun = _start("experiments.latency.measure", str(run.path), process, *pipelines)
        _output(begun, run.limit_s)
        results = Results.read(run.path)
        figures = [one for one in results.figures if one.process == process]
        return {
            "points": len({one.point for one in figures}),
            "failed": sum(one.error is not None for one in figures),
        }

    return _timed(ask)


def _countdown(limit_s: float) -> Callable[[], float]:
    """Return a function that returns the seconds that are left of a step, at least one."""
    end = time.monotonic() + limit_s
    return lambda: max(1.0, end - time.monotonic())


def _timed(ask: Callable[[], Mapping[str, Any]]) -> Step:
    """Run a step; what it found, or how it ended."""
    began = time.monotonic()
    try:
        status, detail = "done", ask()
    except subprocess.TimeoutExpired as error:
        status, detail = "cut off", {"reason": f"not finished after {error.timeout:.0f} s"}
    except StepFailed as error:
        status, detail = "failed", {"reason": str(error)}
    return Step(status, time.monotonic() - began, detail)


def _start(module: str, *words: str) -> subprocess.Popen[str]:
    """Start a module of this checkout; its standard error is shown as it comes."""
    places = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    # Latency is asked for by hand here, so nothing may ask MLflow or the hub for anything.
    variables = {"PYTHONPATH": os.pathsep.join(places), "HF_HUB_OFFLINE": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", module, *words],
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        text=True,
    )


def _output(begun: subprocess.Popen[str], limit_s: float, good: Sequence[int] = (0,)) -> str:
    """Return what a process prints; end it if it takes longer, or if this one is ended.

    ``good``: exit codes of a process that did what it was asked for.
    """
    try:
        text, _ = begun.communicate(timeout=limit_s)
    finally:
        _end(begun)
    if begun.returncode not in good:
        words = begun.args if isinstance(begun.args, list) else [begun.args]
        raise StepFailed(f"`{' '.join(map(str, words[2:]))}` ended with {begun.returncode}")
    return text


def _end(begun: subprocess.Popen[str]) -> None:
    """End a process that still runs."""
    if begun.poll() is None:
        begun.kill()
        begun.communicate()


def _document(begun: subprocess.Popen[str], limit_s: float) -> dict[str, Any]:
    text = _output(begun, limit_s, good=(0, 1, 3))  # 1 and 3 are verdicts, named in the document
    try:
        return dict(json.loads(text))
    except (json.JSONDecodeError, TypeError) as error:
        raise StepFailed(f"no JSON document: {error}") from error


def _pixels(sweep: Mapping[str, Any]) -> list[str]:
    return [image["pixel_sha256"] for cell in sweep["cells"] for image in cell["images"]]
