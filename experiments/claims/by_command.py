"""Claims that a user would put to the test by the command line: speed, sizes, seeds, licences.

Each function measures by :class:`Lab` and leaves the verdict to :mod:`rules`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PIL import Image

from experiments.claims.lab import (
    REAL,
    Lab,
    Row,
    difference,
    figure,
    hashes,
    largest_difference,
    listed,
    num_equal,
    untested,
)
from experiments.claims.rules import (
    CHANCE_MARGIN,
    FAILS,
    MARGIN,
    at_least,
    at_most,
    every,
    exactly,
    more_than,
    some,
)
from turbo_lab.analysis.stats import bootstrap_mean_ci

_GPU = "device=cuda dtype=float16"


def latency(lab: Lab) -> list[Row]:
    """One step of the student against the teacher's fifty and LCM's four."""
    rows = []
    for claim, other, steps, least in (
        ("60 times faster than SDXL (50 steps)", lab.family.teacher, 50, 60.0),
        ("3 to 5 times faster than LCM-LoRA (4 steps)", lab.family.lcm, 4, 3.0),
    ):
        ratio, (low, high) = lab.ratio(
            f"candidate.model={lab.family.turbo}",
            "candidate.num_inference_steps=1",
            f"baseline.model={other}",
            f"baseline.num_inference_steps={steps}",
            "batch_size=1",
            "num_images=1",
            f"resolution={lab.family.sizes[0]}",
        )
        text = f"{1 / ratio:.1f} times ({1 / high:.1f} to {1 / low:.1f}), batch 1"
        rows.append(Row(claim, text, at_least((1 / high, 1 / low), least)))
    return rows


def vae_share(lab: Lab) -> list[Row]:
    """Which stage a one-step call is spent on: eight timings of one image."""
    cells = lab(
        "bench",
        f"model={lab.family.turbo}",
        "num_inference_steps=1",
        "batch_size=1",
        "num_images=1",
        "seed=range(0,8)",
        "timing=short",
    )["cells"]
    shares = {
        name: [cell["stages_s"][name] / sum(cell["stages_s"].values()) for cell in cells]
        for name in ("vae", "unet")
    }
    vae, unet = (bootstrap_mean_ci(shares[name]) for name in ("vae", "unet"))
    text = f"VAE {_percent(shares['vae'], vae)} of a call, UNet {_percent(shares['unet'], unet)}"
    return [Row("at one step the VAE takes most of the time", text, at_least(vae, 0.5))]


def one_step(lab: Lab) -> list[Row]:
    """The student's single step against the teacher at its card's own settings."""
    size = f"resolution={lab.family.sizes[0]}"
    student = lab.sweep("num_inference_steps=1", size)[0]
    teacher = lab.sweep(f"model={lab.family.teacher}", size)[0]
    gap = difference(lab, student, teacher)
    steps = teacher["parameters"]["num_inference_steps"]
    text = f"CLIP score minus that of the teacher's {steps} steps: {gap}"
    return [Row("a single step is enough", text, at_least(gap.interval, -MARGIN))]


def throughput(lab: Lab) -> list[Row]:
    """Images per second in a batch against one by one, both in one run."""
    gains = []
    for size in lab.family.batches:
        ratio, (low, high) = lab.ratio(
            f"model={lab.family.turbo}",
            "baseline.batch_size=1",
            f"candidate.batch_size={size}",
            f"num_images={size}",
        )
        gains.append((size / ratio, (size / high, size / low)))
    texts = [f"{gain:.2f} ({low:.2f} to {high:.2f})" for gain, (low, high) in gains]
    return [
        Row(
            "2 to 3 times the images per second in a batch",
            f"by batch size, to one: {listed(lab.family.batches, texts)}",
            some([at_least(interval, 2) for _, interval in gains]),
        )
    ]


def one_pass(lab: Lab) -> list[Row]:
    """1 to 64 images in one call, what happens past the memory, and a GPU at batch 1."""
    cells = lab.sweep("batch_size=1,64", "num_images=64", "metrics=none")
    drawn = sum(len(cell["images"]) for cell in cells if cell["status"] != "failed")
    rows = [
        Row(
            "1 to 64 images in one pass",
            f"{drawn} of 128 images drawn, in calls of 1 and 64",
            exactly(drawn, 128),
        )
    ]
    rows.append(
        untested(
            "memory is managed: a batch that does not fit is drawn in parts",
            "nothing runs out of memory at these sizes; on a GPU that is too small",
            f"turbo-lab sweep model=sdxl-turbo {_GPU} resolution=1024 batch_size=64 "
            "on_out_of_memory=split",
        )
    )
    return [*rows, _launch_bound(lab)]


def _launch_bound(lab: Lab) -> Row:
    claim = "at batch 1 a GPU waits for its launches: two images cost as much as one"
    if lab.family.device != "cuda":
        return untested(claim, "needs a GPU", REAL)
    ratio, interval = lab.ratio(
        f"model={lab.family.turbo}",
        "baseline.batch_size=1",
        "candidate.batch_size=2",
        "num_images=2",
    )
    text = f"a call of two takes {ratio:.2f} ({interval[0]:.2f} to {interval[1]:.2f}) of one"
    return Row(claim, text, at_most(interval, 1.1))


def sizes(lab: Lab) -> list[Row]:
    """Drawn at all, and as well as at the size that the model was trained at."""
    cells = lab.sweep(f"resolution={','.join(lab.family.sizes)}")
    names = [cell["parameters"]["resolution"] for cell in cells]
    right = sum(_has_size(cell, name) for cell, name in zip(cells, names, strict=True))
    native, others = cells[0], cells[1:]
    gaps = [difference(lab, cell, native, len(others)) for cell in others]
    text = f"CLIP score minus that at {names[0]}, {listed(names[1:], gaps)}"
    return [
        Row(
            "other sizes and shapes are drawn, without retraining",
            f"{right} of {len(cells)} sizes ({', '.join(names)})",
            exactly(right, len(cells)),
        ),
        Row(
            "... and as well as at the model's own size",
            text,
            every([at_least(gap.interval, -MARGIN) for gap in gaps]),
        ),
    ]


def components(lab: Lab) -> list[Row]:
    """Another scheduler by its name; the other models by the same command."""
    names = (
        "EulerAncestralDiscreteScheduler",
        "EulerDiscreteScheduler",
        "DPMSolverMultistepScheduler",
    )
    own, *cells = lab.sweep(f"scheduler={','.join(names)}", "num_inference_steps=4")
    rows = [_schedulers(lab, own, cells, [name.removesuffix("Scheduler") for name in names])]
    models = (lab.family.turbo, lab.family.teacher, lab.family.lcm)
    drawn = lab.sweep(f"model={','.join(models)}", "num_images=8")
    done = sum(cell["status"] != "failed" for cell in drawn)
    text = f"{done} of {len(models)} drawn by the same command: {', '.join(models)}"
    rows.append(Row("drop-in for other SDXL variants", text, exactly(done, len(models))))
    return rows


def _schedulers(
    lab: Lab, own: dict[str, Any], cells: Sequence[dict[str, Any]], names: Sequence[str]
) -> Row:
    claim = "the scheduler can be swapped by name"
    failed = [n for n, c in zip(names, (own, *cells), strict=True) if c["status"] == "failed"]
    if failed:
        return Row(claim, f"could not be drawn: {', '.join(failed)}", FAILS)
    gaps = [difference(lab, cell, own, len(cells)) for cell in cells]
    text = f"CLIP score at 4 steps minus that of {names[0]}, {listed(names[1:], gaps)}"
    return Row(claim, text, every([at_least(gap.interval, -MARGIN) for gap in gaps]))


def quantised(lab: Lab) -> list[Row]:
    """The student with its UNet in 8 bits against the student, on the same seeds."""
    kinds = ("int8wo", "int8dq", "float8wo")
    plain, *small = lab.sweep(f"quantization=none,{','.join(kinds)}", "num_inference_steps=1")
    gaps = [difference(lab, cell, plain, len(small)) for cell in small]
    return [
        Row(
            "a UNet quantised to 8 bits draws as well",
            f"CLIP score minus that of {lab.family.dtype}, {listed(kinds, gaps)}",
            every([at_least(gap.interval, -MARGIN) for gap in gaps]),
        ),
        untested("... and to 4 bits", "turbo-lab's `quantization` knows 8 bits only"),
    ]


def adapters(lab: Lab) -> list[Row]:
    """The base draws the same after adapters as in a process that never saw one."""
    claim = "LoRAs stack, and the base stays as it was"
    if len(lab.family.loras) < 2:
        command = f"python -m experiments.claims --family {lab.name} --loras A,B"
        return [untested(claim, "no adapters of this family are named", command)]
    first, second = lab.family.loras[:2]
    stack = f"{first}@0.5+{second}@0.5"
    alone = lab.sweep("lora=none", "store=claims-alone")[0]
    *worn, bare = lab.sweep(f"lora={first}@0.8,{stack},none", "store=claims-stack")
    same, total = num_equal(alone, bare), len(hashes(alone))
    changed = sum(num_equal(cell, alone) < total for cell in worn)
    text = (
        f"{changed} of 2 stacks change images; without adapters, in a fresh process and after "
        f"{first}@0.8 and {stack}, {same} of {total} are identical"
    )
    return [Row(claim, text, every([exactly(changed, 2), exactly(same, total)]))]


def guidance(lab: Lab) -> list[Row]:
    """Whether 0 leaves the prompt out, and whether more than 1 helps."""
    scales = ("1.5", "2", "3")
    off, *guided = lab.sweep(f"guidance_scale=0,{','.join(scales)}")
    recall, prompts = off["metrics"]["r_precision"], {i["prompt"] for i in off["images"]}
    chance = 1 / len(prompts)  # an upper bound: the set may hold more captions than were drawn
    gaps = [difference(lab, cell, off, len(guided)) for cell in guided]
    return [
        Row(
            "guidance 0 draws unconditionally",
            f"recall@1 of the own prompt {figure(recall)}; chance is at most {chance:.3f}",
            at_most(_ends(recall["ci95"]), chance + CHANCE_MARGIN),
        ),
        Row(
            "guidance improves the image",
            f"CLIP score at one step minus that at 0, {listed(scales, gaps)}",
            some([more_than(gap.interval, 0) for gap in gaps]),
        ),
    ]


def seeds(lab: Lab) -> list[Row]:
    """The same seed in another process, another batch and with another number of threads."""
    store = "store=claims-seeds"
    base = lab.sweep("batch_size=8", store)[0]
    return [
        _same(
            "the same seed gives the same image: a fresh process",
            base,
            lab.sweep("batch_size=8", "store=claims-again")[0],
        ),
        _same("... in a batch of 8 and alone", base, lab.sweep("batch_size=1", store)[0]),
        _same(
            "... with one thread and with two",
            base,
            lab.sweep("batch_size=8", "num_threads=2", store)[0],
        ),
        _devices(lab),
    ]


def _same(claim: str, one: dict[str, Any], other: dict[str, Any]) -> Row:
    equal, total = num_equal(one, other), len(hashes(one))
    text = f"{equal} of {total} images identical to the bit"
    if equal < total:
        text += f", the others within {largest_difference(one, other)} of 255"
    return Row(claim, text, exactly(equal, total))


def _devices(lab: Lab) -> Row:
    claim = "... on the CPU and on a GPU"
    if lab.family.device != "cuda":
        return untested(claim, "needs a GPU", REAL)
    few = ("num_images=4", "dtype=float32", "store=claims-devices")
    cells = [lab.sweep(f"device={device}", *few)[0] for device in ("cpu", "cuda")]
    return _same(claim, *cells)


def licences(lab: Lab) -> list[Row]:
    """As each checkpoint's own card states it."""
    shown = [lab.card(name) for name in dict.fromkeys(("sdxl-turbo", lab.family.turbo))]
    text = listed([card["name"] for card in shown], [card["license"] for card in shown])
    right = sum(card["license"].lower() == "apache-2.0" for card in shown[:1])
    return [Row("SDXL-Turbo's weights are under Apache-2.0", text, exactly(right, 1))]


def _has_size(cell: dict[str, Any], resolution: str) -> bool:
    width, height = (int(part) for part in resolution.split("x"))
    opened = [Image.open(image["path"]).size for image in cell["images"]]
    return bool(opened) and set(opened) == {(width, height)}


def _percent(values: Sequence[float], interval: tuple[float, float] | None) -> str:
    mean = f"{100 * sum(values) / len(values):.0f}%"
    if interval is None:
        return mean
    return f"{mean} ({100 * interval[0]:.0f} to {100 * interval[1]:.0f})"


def _ends(interval: Sequence[float] | None) -> tuple[float, float] | None:
    return None if interval is None else (interval[0], interval[1])
