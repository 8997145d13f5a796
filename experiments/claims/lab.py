"""What a claim is asked of and with: a family of models, and turbo-lab's command line.

Owns how a command is run and read. Refuses to go on past a command that failed:
:class:`CommandError` says which one it was.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from experiments.claims.rules import UNTESTED, Verdict
from turbo_lab.analysis.stats import bootstrap_mean_ci
from turbo_lab.store.store import Store

ROOT = str(Path(__file__).parents[2])


@dataclass(frozen=True)
class Family:
    """The names of one family's models, and how it is run."""

    turbo: str
    """The student's card."""
    teacher: str
    """What it was distilled from."""
    lcm: str
    """The other few-step model."""
    loras: tuple[str, ...]
    """Two adapters that fit; empty: none is named."""
    sizes: tuple[str, ...]
    """The native one first."""
    batches: tuple[int, ...]
    """Batch sizes to set against one image a call."""
    device: str
    """``cpu`` or ``cuda``."""
    dtype: str
    """Of the weights."""

    @property
    def overrides(self) -> tuple[str, ...]:
        """Those of every command."""
        return ("num_threads=1", f"device={self.device}", f"dtype={self.dtype}")


FAMILIES = {
    "nano": Family(
        "nano-turbo",
        "nano-sdxl",
        "nano-lcm",
        ("flat", "ink"),
        ("64", "128x64", "128"),
        (8, 16, 32),
        "cpu",
        "float32",
    ),
    "sdxl": Family(
        "sdxl-turbo",
        "sdxl-base",
        "lcm-lora-sdxl",
        (),
        ("512", "768x512", "1024"),
        (8, 32, 64),
        "cuda",
        "float16",
    ),
}
REAL = "python -m experiments.claims --family sdxl"


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    claim: str
    """As it is made."""
    measured: str
    """Figures with their intervals, and on what; or why there are none."""
    verdict: Verdict
    """What becomes of the claim."""


def untested(claim: str, reason: str, command: str | None = None) -> Row:
    """A row with no figures: why, and the command that would give them."""
    return Row(claim, reason if command is None else f"{reason}: `{command}`", UNTESTED)


class CommandError(RuntimeError):
    """A command or a cell that gave no figure; its own message is on stderr."""


class Lab:
    """Runs turbo-lab on one family, in processes of their own."""

    def __init__(self, family: Family, name: str, num_images: int) -> None:
        self.family, self.name, self.num_images = family, name, num_images

    def __call__(self, *words: str) -> dict[str, Any]:
        """The JSON that a command prints; a key that ``words`` give is not given twice."""
        given = {word.partition("=")[0] for word in words}
        extra = [w for w in self.family.overrides if w.partition("=")[0] not in given]
        return run("turbo_lab.cli", *words, *extra, "--json")

    def card(self, name: str) -> dict[str, Any]:
        """``models show``, for a card whose files need not be here."""
        return run("turbo_lab.cli", "models", "show", name, "--json")

    def probe(self, *words: str) -> dict[str, Any]:
        """What :mod:`experiments.claims.probe` finds, in a fresh process."""
        return run("experiments.claims.probe", "--family", self.name, *words)

    def sweep(self, *words: str) -> list[dict[str, Any]]:
        """The cells of a sweep of the student: images, CLIP score and recall only."""
        plain = ("metrics.names=clip_score,r_precision", "timing=off", "tracking=none")
        asked = {word.partition("=")[0] for word in words}
        own = (f"model={self.family.turbo}", f"num_images={self.num_images}")
        rest = [word for word in own if word.partition("=")[0] not in asked]
        return list(self("sweep", *rest, *plain, *words)["cells"])

    def scores(self, cell: dict[str, Any]) -> list[float]:
        """(N,) CLIP scores in image order, as the store keeps them."""
        if cell["status"] == "failed":
            raise CommandError(f"a cell could not be drawn: {cell['error']}")
        path, name = Path(cell["record"]), "clip_score"
        fingerprint = cell["metrics"][name]["fingerprint"]
        for found in Store.existing(path.parents[2]).measurements(cell["record_id"]):
            if found.fingerprint == fingerprint and found.per_image is not None:
                return list(found.per_image)
        raise CommandError(f"{path}: holds no {name} of each image")

    def ratio(self, *words: str) -> tuple[float, tuple[float, float]]:
        """Time of a call, candidate over baseline, with its interval."""
        found = self("bench", *words, "timing=short")
        return found["ratio"], (found["ci95"][0], found["ci95"][1])


def run(module: str, *words: str) -> dict[str, Any]:
    """The JSON that a module prints; raises :class:`CommandError`.

    Exit code 3 is a sweep in which some cell failed: the others have their figures.
    """
    environment = os.environ | {"PYTHONPATH": ROOT}
    command = [sys.executable, "-m", module, *words]
    done = subprocess.run(command, env=environment, check=False, stdout=subprocess.PIPE)
    if done.returncode not in (0, 3):
        raise CommandError(f"`{' '.join([module, *words])}` ended with {done.returncode}")
    return dict(json.loads(done.stdout))


@dataclass(frozen=True)
class Difference:
    """A paired difference of CLIP scores, clustered by prompt."""

    mean: float
    """Of ``cell - base``."""
    interval: tuple[float, float] | None
    """``None`` where there are too few prompts."""

    def __str__(self) -> str:
        if self.interval is None:
            return f"{self.mean:+.3f} (no interval)"
        return f"{self.mean:+.3f} ({self.interval[0]:+.3f} to {self.interval[1]:+.3f})"


def difference(lab: Lab, cell: dict[str, Any], base: dict[str, Any], among: int = 1) -> Difference:
    """``cell - base`` on the same prompts and seeds; ``among``: intervals taken together."""
    pairs = list(zip(lab.scores(cell), lab.scores(base), strict=True))
    gains = [one - other for one, other in pairs]
    prompts = [image["prompt"] for image in base["images"]]
    interval = bootstrap_mean_ci(gains, prompts, level=1 - 0.05 / among)
    return Difference(sum(gains) / len(gains), interval)


def hashes(cell: dict[str, Any]) -> list[str]:
    """Of every image's pixels, in order."""
    return [image["pixel_sha256"] for image in cell["images"]]


def num_equal(one: dict[str, Any], other: dict[str, Any]) -> int:
    """Images of the same place that are equal to the bit."""
    return sum(a == b for a, b in zip(hashes(one), hashes(other), strict=True))


def largest_difference(one: dict[str, Any], other: dict[str, Any]) -> int:
    """Of any pixel of images of the same place, in levels of 255."""
    apart = []
    for first, second in zip(one["images"], other["images"], strict=True):
        if first["pixel_sha256"] != second["pixel_sha256"]:
            a, b = (np.asarray(Image.open(image["path"]), int) for image in (first, second))
            apart.append(int(np.abs(a - b).max()))
    return max(apart, default=0)


def figure(found: dict[str, Any]) -> str:
    """A metric's value with its interval; ``unscored`` where it has none."""
    if found["value"] is None:
        return "unscored"
    if found["ci95"] is None:
        return f"{found['value']:.3f} (no interval)"
    low, high = found["ci95"]
    return f"{found['value']:.3f} ({low:.3f} to {high:.3f})"


def listed(names: Sequence[object], texts: Sequence[object]) -> str:
    """``name: text, name: text``."""
    return ", ".join(f"{name}: {text}" for name, text in zip(names, texts, strict=True))


def with_loras(family: Family, names: str) -> Family:
    """The family with other adapters, ``A,B``: names of cards, or files; its own where empty."""
    return replace(family, loras=tuple(names.split(","))) if names else family
