"""Requests: one point of a grid as the user wrote it, by names, validated.

Owns the rules of every generation parameter and the text forms of sizes and LoRA stacks.
Refuses to guess: a value out of range is an error that names the field, the value, the rule
and the remedy. No I/O.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from turbo_lab import environment
from turbo_lab.cards.conf import ConfigNode
from turbo_lab.errors import InputError
from turbo_lab.request.pipeline import PipelineKeys

MAX_BATCH_SIZE = 64
MAX_STEPS = 1000
SIZE_MULTIPLE = 64
DTYPES = ("float32", "float16", "bfloat16")
SeedMode = Literal["increment", "same"]
SEED_MODES: tuple[SeedMode, ...] = ("increment", "same")
# diffusers classes that draw with an SDXL model from one step on. Left out: PNDM (fails below
# four steps), EDMEuler (for models trained on EDM's sigmas), DPMSolverSDE (needs torchsde).
SCHEDULERS = (
    "DDIMParallelScheduler",
    "DDIMScheduler",
    "DDPMScheduler",
    "DEISMultistepScheduler",
    "DPMSolverMultistepScheduler",
    "DPMSolverSinglestepScheduler",
    "EulerAncestralDiscreteScheduler",
    "EulerDiscreteScheduler",
    "HeunDiscreteScheduler",
    "KDPM2AncestralDiscreteScheduler",
    "KDPM2DiscreteScheduler",
    "LCMScheduler",
    "LMSDiscreteScheduler",
    "SASolverScheduler",
    "TCDScheduler",
    "UniPCMultistepScheduler",
)
# torch seeds its CPU generator with the low 32 bits, so seed and seed + 2**32 give the same noise.
# Two cells must not have the same images.
MAX_SEED = 2**32 - 1


# A name in quotes, and its weight.
_QUOTED = re.compile(r"""(?P<mark>["'])(?P<name>.+?)(?P=mark)\s*(?:@(?P<weight>.+))?""", re.DOTALL)


DEFAULT_STRENGTH = 0.3
"""``strength`` of an image-to-image call that names none, as in diffusers."""
MAX_IMAGES = 1_000_000
"""Most images of a cell: a plan keeps a row of each in memory."""


@dataclass(frozen=True)
class LoraUse:
    """An adapter in a stack, with its weight."""

    name: str
    """Name of an adapter card, or path of a ``.safetensors`` file or its folder."""
    weight: float
    """Factor on the adapter's update; 0 leaves the adapter out."""


@dataclass(frozen=True)
class Request:
    """One point of a grid, by names and numbers that are valid."""

    model: str
    """Name of a model card; of the user's own folder or file with ``model_path``."""
    model_path: str | None
    """Folder or file of weights; ``None``: the location that the card names."""
    prompts: str
    """Name of the prompt set, for display; its texts are passed separately."""
    num_inference_steps: int
    """Denoising steps, at least 1."""
    guidance_scale: float
    """Classifier-free guidance scale; up to 1 there is no guidance, as in diffusers."""
    width: int
    """Width of an image, in pixels; a multiple of 64."""
    height: int
    """Height of an image, in pixels; a multiple of 64."""
    batch_size: int
    """Images per pipeline call, 1 to 64."""
    lora: tuple[LoraUse, ...]
    """Adapters, in the order in which they are applied; empty: none."""
    seed: int
    """Seed of the first image."""
    seed_mode: SeedMode
    """``increment``: image i has seed + i; ``same``: all prompts have one seed."""
    negative_prompt: str | None
    """Text of the negative prompt; ``None``: none was given (zero embeddings on SDXL)."""
    scheduler: str | None
    """One of :data:`SCHEDULERS`; ``None``: the checkpoint's own."""
    dtype: str
    """Type of weights and latents: one of :data:`DTYPES`."""
    vae: str | None
    """Name of a packaged VAE, or a folder; ``None``: the checkpoint's own."""
    preset: str
    """Name of the pipeline preset, for display; what it sets is in ``pipeline``."""
    pipeline: PipelineKeys
    """Settings of the pipeline itself, those of the preset included."""
    num_images: int | None
    """Total number of images; ``None``: one per prompt, or per source image if there are more."""
    image: str | None = None
    """File or folder of the source images; ``None``: text to image."""
    strength: float | None = None
    """Share of the steps that are run on a source image, above 0; ``None``: text to image."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of an image, in pixels."""
        return self.width, self.height

    @classmethod
    def from_config(cls, values: Mapping[str, object]) -> Request:
        """Validate the values of one grid point. Raises :class:`InputError`."""
        config = ConfigNode(values)
        model, vae = config.node("model"), config.optional_text("vae")
        width, height = parse_resolution(config.get("resolution"))
        dtype = config.choice("dtype", DTYPES)
        lora = parse_lora(config.optional_text("lora"), _lora_weight(config))
        device = config.text("device")
        if device != "cuda":  # whether there is one is not this module's to say
            device = environment.resolve_device(device)
        pipeline = PipelineKeys.from_config(config, device)
        pipeline.check(device, dtype, has_lora=any(use.weight for use in lora))
        image = _image(config)
        return cls(
            model=model.text("name"),
            model_path=model.optional_text("path"),
            prompts=config.node("prompts").text("name"),
            num_inference_steps=config.integer("num_inference_steps", 1, MAX_STEPS),
            guidance_scale=_guidance_scale(config.get("guidance_scale")),
            width=width,
            height=height,
            batch_size=config.integer("batch_size", 1, MAX_BATCH_SIZE),
            lora=lora,
            seed=config.integer("seed", 0, MAX_SEED),
            seed_mode=config.choice("seed_mode", SEED_MODES),
            negative_prompt=_negative_prompt(config.get("negative_prompt")),
            scheduler=config.optional_choice("scheduler", SCHEDULERS),
            dtype=dtype,
            vae=None if vae == "none" else vae,
            preset=config.node("pipeline").text("name"),
            pipeline=pipeline,
            num_images=config.optional_integer("num_images", 1, MAX_IMAGES),
            image=image,
            strength=_strength(config, has_image=image is not None),
        )


NATIVE = "native"
"""``resolution``: the size that the model's configs name."""


def parse_resolution(value: object) -> tuple[int, int]:
    """Return width and height in pixels from ``512``, ``"512"`` or ``"768x512"``.

    Both must be multiples of 64.
    """
    parts = str(value).lower().split("x")
    if len(parts) > 2 or not all(p.strip().isdecimal() for p in parts):
        raise InputError(f"resolution={value}: must be WIDTHxHEIGHT or one number, such as 512x768")
    numbers = [int(p) for p in parts]
    wrong = [n for n in numbers if n < SIZE_MULTIPLE or n % SIZE_MULTIPLE]
    if wrong:
        low = max(SIZE_MULTIPLE, wrong[0] // SIZE_MULTIPLE * SIZE_MULTIPLE)
        near = f"{low} or {low + SIZE_MULTIPLE}" if wrong[0] > SIZE_MULTIPLE else f"{low}"
        raise InputError(
            f"resolution={value}: {wrong[0]} is not a multiple of {SIZE_MULTIPLE}; nearest: {near}"
        )
    return numbers[0], numbers[-1]


def _lora_weight(config: ConfigNode) -> float | None:
    return None if config.get("lora_weight") is None else config.number("lora_weight")


def parse_lora(value: str | None, default_weight: float | None = None) -> tuple[LoraUse, ...]:
    """Return the adapters in ``none`` or ``NAME@WEIGHT+NAME@WEIGHT``.

    ``default_weight``: weight of the adapters that are named without one; 1 if ``None``. Given,
    it has to be the weight of at least one adapter. A name may be a path. A ``+`` ends an
    adapter only after a weight, after ``.safetensors`` and after a plain name; any name may be
    quoted.
    """
    text = (value or "none").strip()
    if text.lower() in ("none", ""):
        return ()
    parsed = [_parse_lora_use(text, part) for part in _split_lora(text)]
    if default_weight is not None and all(weight is not None for _, weight in parsed):
        raise InputError(
            f"lora_weight={default_weight:g}: has no effect, because lora={text} gives every "
            "LoRA a weight; leave out an @WEIGHT"
        )
    other = 1.0 if default_weight is None else default_weight
    uses = [LoraUse(name, (other if own is None else own) + 0.0) for name, own in parsed]
    names = [use.name for use in uses]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"lora={text}: {name} is named twice; give one weight for it")
    return tuple(uses)


def _split_lora(text: str) -> list[str]:
    """Return the adapters of a stack; a ``+`` inside a path or quotes is part of the name."""
    parts, current = [], ""
    for piece in text.split("+"):
        current += piece
        if _QUOTED.fullmatch(part := current.strip()) or (
            part[:1] not in ("'", '"')
            and (
                part.endswith(".safetensors")
                or _number(part.rpartition("@")[2]) is not None
                or not {"/", "."} & set(part)
            )
        ):
            parts.append(part)
            current = ""
        else:
            current += "+"
    return [*parts, current[:-1].strip()] if current else parts


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _parse_lora_use(text: str, part: str) -> tuple[str, float | None]:
    """Return an adapter's name and its weight; ``None`` if it is named without one."""
    if quoted := _QUOTED.fullmatch(part):
        name, weight = quoted["name"], quoted["weight"] or None
    else:
        before, mark, after = part.rpartition("@")
        # An @ in a file's own name: style@2.safetensors.
        has_weight = mark and not (part.endswith(".safetensors") and _number(after) is None)
        name, weight = (before, after) if has_weight else (part, None)
    number = None if weight is None else _number(weight)
    is_number = weight is None or (number is not None and math.isfinite(number))
    if not name or name.lower() == "none" or not is_number:
        raise InputError(
            f"lora={text}: {part!r} is not NAME or NAME@WEIGHT; for example flat@0.8+ink@0.5"
        )
    return name, number


def format_lora(uses: Sequence[LoraUse]) -> str:
    """Return the text from which :func:`parse_lora` reads the same adapters.

    A name is quoted where it would not be read as one.
    """
    plain = "+".join(f"{use.name}@{_weight_text(use.weight)}" for use in uses) or "none"
    try:
        if parse_lora(plain) == tuple(uses):
            return plain
    except InputError:  # it reads as something else; quoted, it does not
        pass
    return "+".join(f"{_quoted(use.name)}@{_weight_text(use.weight)}" for use in uses)


def _quoted(name: str) -> str:
    mark = "'" if '"' in name else '"'
    return f"{mark}{name}{mark}"


def _weight_text(weight: float) -> str:
    """Return a weight without an exponent, because ``1e+06`` would read as two adapters."""
    text = format(Decimal(repr(weight)), "f")
    return text.removesuffix(".0")


def _image(config: ConfigNode) -> str | None:
    """Return the file or folder of source images; ``None``: there are none."""
    image = config.optional_text("image")
    if image is not None and not image.strip():
        raise config.error("image", "must be an image file or a folder of them, or null for none")
    return image


def _strength(config: ConfigNode, has_image: bool) -> float | None:
    if config.get("strength") is None:
        return DEFAULT_STRENGTH if has_image else None
    strength = config.number("strength")
    if not 0 < strength <= 1:
        raise config.error("strength", "must be above 0, where nothing changes, and at most 1")
    if not has_image:
        raise config.error(
            "strength", "there is no image to change; add image=FILE or image=FOLDER"
        )
    return strength


def _guidance_scale(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InputError(f"guidance_scale={value}: must be a number, 0 for no guidance")
    number = float(value)
    if not math.isfinite(number) or number < 0:
        raise InputError(
            f"guidance_scale={value}: must be finite and at least 0 (0 to 1 all mean no guidance)"
        )
    return number


def _negative_prompt(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise InputError(f"negative_prompt={value}: must be text, or null for none")
