"""Every claim that is made of SDXL-Turbo, measured; prints one Markdown table.

    python -m experiments.claims [--family sdxl] [--num-images 64]

On the nano family by default; ``--family sdxl`` takes the real checkpoints from
the local Hugging Face cache. All of it goes through the command line, as a user
would ask; ``store`` keeps what is drawn, so that a run that was cut off goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    loras: tuple[str, str]
    """Two adapters that fit; ``none``: there are none to take."""
    sizes: tuple[str, ...]
    """The native one first."""
    batches: str
    """Batch sizes to time."""
    extra: tuple[str, ...]
    """Overrides of every command."""


FAMILIES = {
    "nano": Family("nano-turbo", "nano-sdxl", "nano-lcm", ("flat", "ink"),
                   ("64", "128x64", "128"), "1,8,32,64", ("num_threads=1",)),
    "sdxl": Family("sdxl-turbo", "sdxl-base", "lcm-lora-sdxl", ("none", "none"),
                   ("512", "768x512", "1024"), "1,8,32,64", ("device=cuda", "dtype=float16")),
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    claim: str
    """As it is made."""
    measured: str
    """Figures with their intervals, and on what."""
    verdict: str
    """What becomes of the claim."""


class Lab:
    """Runs turbo-lab on one family."""

    def __init__(self, family: Family, num_images: int) -> None:
        self.family, self.num_images = family, num_images

    def __call__(self, *words: str) -> dict[str, Any]:
        """The JSON that a command prints."""
        command = [sys.executable, "-m", "turbo_lab.cli", *words, *self.family.extra, "--json"]
        environment = os.environ | {"PYTHONPATH": ROOT}
        done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
        return dict(json.loads(done.stdout))

    def sweep(self, *words: str) -> list[dict[str, Any]]:
        """The cells of a sweep of the student: images, CLIP score and recall only."""
        plain = ("metrics.names=clip_score,r_precision", "timing=off", "tracking=none")
        images = f"num_images={self.num_images}"
        return list(self("sweep", f"model={self.family.turbo}", images, *plain, *words)["cells"])


def latency(lab: Lab) -> list[Row]:
    """One step of the student against the teacher's fifty and LCM's four."""
    rows = []
    for claim, other, steps, low, high in (
        ("60 times faster than SDXL (50 steps)", lab.family.teacher, 50, 60, 60),
        ("3 to 5 times faster than LCM (4 steps)", lab.family.lcm, 4, 3, 5),
    ):
        found = lab(
            "bench", f"candidate.model={lab.family.turbo}", "candidate.num_inference_steps=1",
            f"baseline.model={other}", f"baseline.num_inference_steps={steps}", "batch_size=1",
            "num_images=1",
        )  # fmt: skip
        ends = sorted(1 / ratio for ratio in found["ci95"])
        text = f"{1 / found['ratio']:.1f} times ({ends[0]:.1f} to {ends[1]:.1f}), batch 1"
        verdict = "holds" if ends[0] >= low else "does not hold" if ends[1] < low else "undecided"
        rows.append(Row(claim, text, verdict if ends[0] <= high * 1.5 else f"{verdict}, and more"))
    return rows


def throughput(lab: Lab) -> list[Row]:
    """Images per second by the size of a batch."""
    cells = lab("bench", f"model={lab.family.turbo}", f"batch_size={lab.family.batches}",
                "num_images=64", "timing=short")["cells"]  # fmt: skip
    by_size = {cell["batch_size"]: cell["throughput_images_per_s"] for cell in cells}
    gains = {size: rate / by_size[1] for size, rate in by_size.items()}
    text = ", ".join(f"{size}: {gain:.2f}" for size, gain in gains.items())
    holds = max(gains.values()) >= 2
    return [Row("2 to 3 times the images per second in a batch", f"by batch size, to one: {text}",
                "holds" if holds else "does not hold")]  # fmt: skip


def sizes(lab: Lab) -> list[Row]:
    """Quality away from the size that the model was trained at."""
    cells = lab.sweep(f"resolution={','.join(lab.family.sizes)}")
    scores = [cell["metrics"]["clip_score"] for cell in cells]
    names = [cell["parameters"]["resolution"] for cell in cells]
    text = ", ".join(f"{n}: {_figure(s)}" for n, s in zip(names, scores, strict=True))
    worse = any(score["ci95"][1] < scores[0]["ci95"][0] for score in scores[1:])
    return [Row("other sizes and shapes without retraining", f"CLIP score at {text}",
                "it draws, and worse" if worse else "holds")]  # fmt: skip


def components(lab: Lab) -> list[Row]:
    """Another scheduler by its name."""
    names = ("EulerAncestralDiscreteScheduler", "EulerDiscreteScheduler",
             "DPMSolverMultistepScheduler")  # fmt: skip
    cells = lab.sweep(f"scheduler={','.join(names)}", "num_inference_steps=4")
    text = ", ".join(
        f"{name.removesuffix('Scheduler')}: {_figure(cell['metrics']['clip_score'])}"
        for name, cell in zip(names, cells, strict=True)
    )
    done = all(cell["status"] != "failed" for cell in cells)
    return [Row("the scheduler can be swapped by name", f"CLIP score at 4 steps, {text}",
                "holds" if done else "does not hold")]  # fmt: skip


def adapters(lab: Lab) -> list[Row]:
    """The base is untouched by what was loaded on it."""
    first, second = lab.family.loras
    if first == "none":
        return []
    stack = f"{first}@0.5+{second}@0.5"
    alone = lab.sweep("lora=none", "store=claims-alone")
    mixed = lab.sweep(f"lora={first}@0.8,{stack},none", "store=claims-stack")
    same = _hashes(alone[0]) == _hashes(mixed[2])
    changed = all(_hashes(cell) != _hashes(alone[0]) for cell in mixed[:2])
    text = f"images without adapters, in a fresh process and after {first}@0.8 and {stack}"
    return [Row("LoRAs stack, and the base stays as it was", text,
                "identical to the bit" if same and changed else "does not hold")]  # fmt: skip


def guidance(lab: Lab) -> list[Row]:
    """At 0 the prompt is used; above 1 it seldom helps this model."""
    off, *guided = lab.sweep("guidance_scale=0,1.5,2,3")
    recall = off["metrics"]["r_precision"]
    scores = [cell["metrics"]["clip_score"] for cell in (off, *guided)]
    worse = [s for s in scores[1:] if s["ci95"][1] < scores[0]["ci95"][0]]
    better = [s for s in scores[1:] if s["ci95"][0] > scores[0]["ci95"][1]]
    text = ", ".join(f"{g}: {_figure(s)}" for g, s in zip((0, 1.5, 2, 3), scores, strict=True))
    verdict = f"{len(better)} of 3 better, {len(worse)} worse"
    return [
        Row("guidance 0 draws unconditionally", f"recall@1 of the prompt {_figure(recall)}",
            "wrong: the prompt is used"),
        Row("guidance improves the image", f"CLIP score at one step by scale, {text}", verdict),
    ]  # fmt: skip


def seeds(lab: Lab) -> list[Row]:
    """The same seed in another process, another batch and with another number of threads."""
    base = lab.sweep("batch_size=8", "store=claims-seeds")[0]
    fresh = lab.sweep("batch_size=8", "store=claims-again")[0]
    alone = lab.sweep("batch_size=1", "store=claims-seeds")[0]
    total = len(_hashes(base))
    rows = [
        ("the same seed gives the same image: a fresh process", fresh),
        ("... in a batch of 8 and alone", alone),
    ]
    return [Row(claim, f"{_equal(base, other)} of {total} images identical",
                "holds" if _equal(base, other) == total else "does not hold to the bit")
            for claim, other in rows]  # fmt: skip


def licences(lab: Lab) -> list[Row]:
    """As each checkpoint's own card states it."""
    shown = [lab_card(name) for name in ("sdxl-turbo", lab.family.turbo)]
    text = ", ".join(f"{card['name']}: {card['license']}" for card in shown)
    right = shown[0]["license"].lower() == "apache-2.0"
    return [Row("the weights are under Apache-2.0", text, "holds" if right else "wrong")]


def lab_card(name: str) -> dict[str, Any]:
    """``models show``, for a card whose files need not be here."""
    command = [sys.executable, "-m", "turbo_lab.cli", "models", "show", name, "--json"]
    environment = os.environ | {"PYTHONPATH": ROOT}
    shown = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
    return dict(json.loads(shown.stdout))


def _figure(figure: dict[str, Any]) -> str:
    low, high = figure["ci95"]
    return f"{figure['value']:.3f} ({low:.3f} to {high:.3f})"


def _hashes(cell: dict[str, Any]) -> list[str]:
    return [image["pixel_sha256"] for image in cell["images"]]


def _equal(one: dict[str, Any], other: dict[str, Any]) -> int:
    return sum(a == b for a, b in zip(_hashes(one), _hashes(other), strict=True))


CLAIMS: Sequence[Callable[[Lab], list[Row]]] = (
    latency, throughput, sizes, components, adapters, guidance, seeds, licences,
)  # fmt: skip


def main() -> None:
    """Print the table, a row as soon as it is measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--family", choices=FAMILIES, default="nano")
    parser.add_argument("--num-images", type=int, default=128)
    args = parser.parse_args()
    lab = Lab(FAMILIES[args.family], args.num_images)
    print("| claim | measured | verdict |\n| --- | --- | --- |")
    for claim in CLAIMS:
        for row in claim(lab):
            print(f"| {row.claim} | {row.measured} | {row.verdict} |", flush=True)


if __name__ == "__main__":
    main()
