"""Claims about the diffusers pipeline itself: its parts, its adapters, its memory, its numbers.

Figures are counted by :mod:`probe` in one fresh process; verdicts are by :mod:`rules`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from experiments.claims.lab import REAL, Lab, Row, untested
from experiments.claims.rules import all_below, every, exactly, more_than
from turbo_lab.analysis.stats import bootstrap_mean_ci

Facts = Mapping[str, Any]
_MEMORY_RUNS = 3
_MIB = 2**20


def safety_checker(facts: Facts) -> list[Row]:
    """The component by its name, among all that the pipeline has."""
    parts = facts["components"]
    return [
        Row(
            "the pipeline has a safety checker",
            f"its {len(parts)} components: {', '.join(parts)}",
            exactly(parts.count("safety_checker"), 1),
        ),
        untested(
            "a safety checker filters what is drawn",
            "turbo-lab has no such filter, and no checker's weights ship",
        ),
    ]


def swaps(facts: Facts) -> list[Row]:
    """Each part in turn: a changed copy takes effect, its own part brings the images back."""
    parts = facts["parts"]
    good = [p for p in parts if p in facts["took_effect"] and p in facts["restored"]]
    text = (
        f"{len(good)} of {len(parts)} parts ({', '.join(parts)}): a changed copy draws other "
        "images, its own part the same ones again, to the bit"
    )
    return [Row("VAE, text encoders and UNet can be swapped", text, exactly(len(good), len(parts)))]


def guidance_off(facts: Facts) -> list[Row]:
    """Guidance of at most 1 by the stock call."""
    same, total = sum(facts["num_equal"]), facts["num_images"] * len(facts["scales"])
    scales = " and ".join(str(scale) for scale in facts["scales"])
    return [
        Row(
            "guidance from 0 to 1 is one and the same image",
            f"{same} of {total} images at {scales} identical to those at 0",
            exactly(same, total),
        )
    ]


def multiples(facts: Facts) -> list[Row]:
    """What diffusers itself refuses."""
    taken, native = facts["taken"], facts["native"]
    text = ", ".join(
        f"{native + int(more)}x{native}: {'drawn' if drawn else 'refused'}"
        for more, drawn in taken.items()
    )
    return [
        Row(
            "sizes must be multiples of 64: diffusers refuses others",
            f"{text} (turbo-lab itself takes multiples of 64 only)",
            exactly(sum(not drawn for drawn in taken.values()), len(taken)),
        )
    ]


def fusing(facts: Facts) -> list[Row]:
    """Base weights after an adapter was worn, and after it was fused and unfused."""
    dtypes = ("float32", "float16")
    worn = sum(facts[dtype]["worn"] for dtype in dtypes)
    fused = {dtype: facts[dtype]["fused"] for dtype in dtypes}
    total = facts["float32"]["weights"]
    text = ", ".join(
        f"{dtype} {count:,} ({100 * count / total:.1f}%)" for dtype, count in fused.items()
    )
    name = facts["adapter"]
    return [
        Row(
            "an adapter leaves the base weights alone: put on and taken off",
            f"{worn} of {total:,} UNet weights differ after {name}, in either dtype",
            exactly(2 * total - worn, 2 * total),
        ),
        Row(
            "... fused and unfused",
            f"UNet weights that differ after {name}: {text}",
            exactly(2 * total - sum(fused.values()), 2 * total),
        ),
    ]


def memory_modes(facts: Facts) -> list[Row]:
    """Images in diffusers' memory-saving modes against those without."""
    modes, total = facts["modes"], facts["num_images"]
    text = ", ".join(
        f"{name} {found['num_equal']} of {total} (largest difference {found['max_abs']} of 255)"
        for name, found in modes.items()
    )
    kept = [exactly(found["num_equal"], total) for found in modes.values()]
    where = f"identical at {facts['resolution']} in one batch"
    return [Row("memory-saving modes keep the image", f"{where}, {text}", every(kept))]


def vae_in_16_bits(facts: Facts) -> list[Row]:
    """Values that are numbers; how far from fp32."""
    apart = facts["max_levels"]
    text = f"{facts['finite']:,} of {facts['values']:,} values are finite" + (
        "" if apart is None else f", at most {apart:.2f} of 255 from float32"
    )
    return [Row("the VAE decodes in float16", text, exactly(facts["finite"], facts["values"]))]


def pickles(facts: Facts) -> list[Row]:
    """A checkpoint that would run code when it is loaded."""
    refused = facts["refused"]
    return [
        Row(
            "weights are loaded from safetensors only",
            f"{refused} of 1 checkpoints with a pickled VAE refused",
            exactly(refused, 1),
        )
    ]


def image_to_image(facts: Facts) -> list[Row]:
    """Whether a source image leads, where the prompt leads elsewhere."""
    pairs = list(zip(facts["without"], facts["with_source"], strict=True))
    gains = [free - kept for free, kept in pairs]
    interval = bootstrap_mean_ci(gains)
    ends = "no interval" if interval is None else f"{interval[0]:.1f} to {interval[1]:.1f}"
    text = (
        f"at strength 0.5 nearer to its source, of another prompt, by "
        f"{sum(gains) / len(gains):.1f} of 255 ({ends}), {len(gains)} images"
    )
    return [Row("image-to-image works with the same weights", text, more_than(interval, 0))]


OF_FACTS: Mapping[str, Callable[[Facts], list[Row]]] = {
    rule.__name__: rule
    for rule in (
        swaps,
        safety_checker,
        guidance_off,
        multiples,
        fusing,
        memory_modes,
        vae_in_16_bits,
        pickles,
        image_to_image,
    )
}


def pipeline(lab: Lab) -> list[Row]:
    """All that the probe counts, then memory."""
    loras = ",".join(lab.family.loras)
    facts = lab.probe("--loras", loras)
    rows = [row for name, rule in OF_FACTS.items() if name in facts for row in rule(facts[name])]
    if "fusing" not in facts:
        rows.append(
            untested(
                "an adapter leaves the base weights alone",
                "no adapters of this family are named",
                f"{REAL} --loras A,B",
            )
        )
    return [*rows, *memory(lab)]


def memory(lab: Lab) -> list[Row]:
    """Peaks of fresh processes, one mode after the other."""
    claim = "VAE slicing saves memory at a batch of 64"
    modes = ("plain", "slicing", "offload") if lab.family.device == "cuda" else ("plain", "slicing")
    peaks: dict[str, list[float]] = {mode: [] for mode in modes}
    for _ in range(_MEMORY_RUNS):
        for mode in modes:
            peaks[mode].append(lab.probe("--memory", mode)["peak_memory_bytes"] / _MIB)
    rows = [_peaks(claim, peaks["slicing"], peaks["plain"])]
    offload = "offloading to the CPU saves GPU memory"
    if "offload" in peaks:
        return [*rows, _peaks(offload, peaks["offload"], peaks["plain"])]
    return [*rows, untested(offload, "needs a GPU", REAL)]


def _peaks(claim: str, with_it: Sequence[float], without: Sequence[float]) -> Row:
    text = (
        f"peak MiB of {len(with_it)} processes, {min(with_it):.0f} to {max(with_it):.0f} "
        f"against {min(without):.0f} to {max(without):.0f} without"
    )
    return Row(claim, text, all_below(with_it, without))
