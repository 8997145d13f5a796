"""The config keys that an infotext means, and what about it is not equivalent.

Owns the settings of A1111 and Forge that change an image. Raises :class:`InputError` for an
image that these keys cannot draw at all.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from turbo_lab.errors import InputError
from turbo_lab.infotext.prompt import Network, plain_prompt
from turbo_lab.infotext.samplers import scheduler_of
from turbo_lab.infotext.text import Infotext

# Settings that are read, or that change nothing here.
_KNOWN = {
    *("Steps", "Sampler", "Schedule type", "CFG scale", "Seed", "Size", "Model", "Model hash"),
    *("Clip skip", "Denoising strength", "RNG", "Lora hashes", "Version", "Hashes", "User"),
    *("Created Date", "Civitai resources", "Civitai metadata", "Source image", "Batch size"),
    *("Batch pos", "Script", "ENSD"),
}
_REFUSED = {
    "ControlNet": "a ControlNet, which turbo-lab does not have",
    "Mask blur": "inpainting, which turbo-lab does not have",
    "Inpaint area": "inpainting, which turbo-lab does not have",
    "Mask mode": "inpainting, which turbo-lab does not have",
}
_DIFFERENT = {
    "Hires": "hires fix is left out; the image has the size of the first pass",
    "Variation seed": "the variation seed is left out; the noise differs",
    "Seed resize": "the resized seed is left out; the noise differs",
    "Refiner": "the refiner is left out",
    "ADetailer": "ADetailer is left out",
    "Face restoration": "face restoration is left out",
    "Hypernet": "the hypernetwork is left out",
    "TI hashes": "textual inversions are left out",
    "Tiling": "tiling is left out",
    "VAE": "its VAE is not looked for; pass vae=FOLDER if it is not the model's own",
}
_MOST_NAMES = 6
_CLIP_SKIP = 2


@dataclass(frozen=True)
class LoraTag:
    """A LoRA that a prompt names."""

    name: str
    """Name of its file, without the ending."""
    weight: float
    """Its weight."""
    hash: str | None
    """Beginning of the sha256 of its tensors or its file, in hex. ``None``: not in the text."""


@dataclass(frozen=True)
class InfotextKeys:
    """Meaning of an infotext to turbo-lab."""

    prompt: str
    """The prompt, as plain words."""
    values: Mapping[str, object]
    """Values by config key, without the model, the LoRAs and what the user gave."""
    model: str | None
    """Name of the checkpoint. ``None``: not in the text."""
    model_hash: str | None
    """Beginning of the sha256 of its file. ``None``: not in the text."""
    loras: tuple[LoraTag, ...]
    """LoRAs, in order."""
    notes: tuple[str, ...]
    """Differences from the image, and settings that were ignored, one line each."""


def keys_of(infotext: Infotext, where: str, given: Collection[str] = ()) -> InfotextKeys:
    """Return the keys that draw the image again, as far as it is equivalent.

    ``where``: names the file, for messages. ``given``: config keys that the user sets, which are
    not read. Raises :class:`InputError` for an image that cannot be drawn again.
    """
    settings = infotext.settings
    for start, what in _REFUSED.items():
        if any(name.startswith(start) for name in settings):
            raise InputError(f"{where}: cannot be drawn again: it was made with {what}")
    prompt, negative = plain_prompt(infotext.prompt), plain_prompt(infotext.negative_prompt)
    notes = list(dict.fromkeys((*prompt.dropped, *negative.dropped)))
    values: dict[str, object] = {}
    values |= _numbers(settings, where, given)
    if "strength" not in given:
        values |= _strength(settings, where, given)
    if negative.text:
        values["negative_prompt"] = negative.text
    if "scheduler" not in given and "Sampler" in settings:
        sampler = scheduler_of(settings["Sampler"], settings.get("Schedule type"))
        notes += sampler.notes
        if sampler.scheduler is not None:
            values["scheduler"] = sampler.scheduler
        if sampler.entries and "model.scheduler" not in given:
            values["model.scheduler"] = dict(sampler.entries)
    loras, more = _loras(prompt.networks, settings.get("Lora hashes", ""))
    return InfotextKeys(
        prompt=prompt.text,
        values={key: value for key, value in values.items() if key not in given},
        model=settings.get("Model"),
        model_hash=_hex(settings.get("Model hash", "")),
        loras=loras,
        notes=(*notes, *more, *_differences(settings)),
    )


def _numbers(settings: Mapping[str, str], where: str, given: Collection[str]) -> dict[str, object]:
    """Return steps, guidance, seed and size. Raises :class:`InputError` if one is missing."""
    found: dict[str, object] = {}
    for name, key, pattern in (
        ("Steps", "num_inference_steps", r"\d{1,9}"),
        ("CFG scale", "guidance_scale", r"\d{1,9}(\.\d{1,9})?"),
        ("Seed", "seed", r"\d{1,20}"),
        ("Size", "resolution", r"\d{1,9}x\d{1,9}"),
    ):
        if key in given:
            continue
        text = settings.get(name, "")
        if re.fullmatch(pattern, text, flags=re.ASCII) is None:
            what = f"its {name} is {text[:40]!a}" if text else f"it has no {name}"
            raise InputError(f"{where}: cannot be drawn again: {what}; add {key}=VALUE")
        is_text, is_float = name == "Size", "." in text
        found[key] = text if is_text else float(text) if is_float else int(text)
    return found


def _strength(settings: Mapping[str, str], where: str, given: Collection[str]) -> dict[str, object]:
    """Return the strength of image to image; hires fix has a strength of its second pass."""
    text = settings.get("Denoising strength")
    if text is None or any(name.startswith("Hires") for name in settings):
        return {}
    if "image" not in given:
        raise InputError(
            f"{where}: cannot be drawn again: it began from a source image, which is not in its "
            "text; add image=FILE"
        )
    number = _number(text)
    if number is None:
        raise InputError(
            f"{where}: cannot be drawn again: its Denoising strength is {text[:40]!a}; add "
            "strength=VALUE"
        )
    return {"strength": number}


def _differences(settings: Mapping[str, str]) -> list[str]:
    """Return a line for each setting that changes an image there and has no equal here."""
    names = [name for name in settings if name not in _KNOWN]
    notes = [
        text for start, text in _DIFFERENT.items() if any(name.startswith(start) for name in names)
    ]
    if settings.get("RNG", "GPU") != "CPU":
        notes.append("noise: drawn on a GPU there and on the CPU here, so that the image differs")
    clip_skip = _number(settings.get("Clip skip", "1"))
    if clip_skip is None or clip_skip > _CLIP_SKIP:
        notes.append("Clip skip: ignored; SDXL takes the second last layer of its text encoders")
    if (_number(settings.get("ENSD", "0")) or 0) != 0:
        notes.append("ENSD: ignored; an ancestral sampler draws other noise")
    others = [name for name in names if not name.startswith(tuple(_DIFFERENT))]
    if others:
        rest = f" and {len(others) - _MOST_NAMES} more" if len(others) > _MOST_NAMES else ""
        notes.append(f"ignored: {', '.join(name[:40] for name in others[:_MOST_NAMES])}{rest}")
    return notes


def _loras(networks: Collection[Network], hashes: str) -> tuple[tuple[LoraTag, ...], list[str]]:
    """Return the LoRAs of a prompt with their hashes, and what is not equivalent about them."""
    known = dict(re.findall(r"([^,:]{1,300}): *([0-9a-fA-F]{8,64})", hashes))
    by_name = {name.strip(): value.lower() for name, value in known.items()}
    found: dict[str, LoraTag] = {}
    notes = []
    for network in networks:
        if network.kind not in ("lora", "lyco"):
            notes.append(f"<{network.kind}:{network.name[:80]}> is left out")
            continue
        weight, is_plain = _lora_weight(network.arguments)
        if not is_plain:
            notes.append(f"<lora:{network.name[:80]}>: one weight of {weight:g} for all its parts")
        found[network.name] = LoraTag(network.name, weight, by_name.get(network.name))
    return tuple(found.values()), notes


def _lora_weight(arguments: Collection[str]) -> tuple[float, bool]:
    """Return the weight of a LoRA on the UNet, and whether it has no other weights or options.

    The first weight is for the text encoders, the second for the UNet; both may be named.
    """
    places = [number for one in arguments if (number := _number(one)) is not None]
    named = dict(one.split("=", 1) for one in arguments if "=" in one)
    weights = [*places[:2], *(n for key in ("te", "unet") if (n := _number(named.get(key, ""))))]
    is_plain = len(places) == len(arguments) and len(set(weights)) <= 1
    return (weights[-1] if weights else 1.0), is_plain


def _number(text: str) -> float | None:
    """Return a short finite number; ``None`` for any other text."""
    try:
        value = float(text) if len(text) < 40 else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _hex(text: str) -> str | None:
    return text.lower() if re.fullmatch(r"[0-9a-fA-F]{8,64}", text) else None
