"""What the user asked for: one point of a grid, by names, validated.

Owns the rules of every generation parameter and the text forms of sizes and LoRA stacks.
Refuses to guess: a value out of range is an error that names the field, the value, the rule
and the remedy. No I/O.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, cast

from turbo_lab.errors import InputError, unknown_name

MAX_BATCH_SIZE = 64
SIZE_MULTIPLE = 64
DTYPES = ("float32", "float16", "bfloat16")
SEED_MODES = ("increment", "same")
QUANTIZATIONS = ("none", "int8wo", "int8dq", "float8wo")
# Left out: reduce-overhead, whose CUDA graphs overwrite what they returned before, and
# max-autotune, which chooses kernels by their time, so that two processes need not agree.
COMPILE_MODES = ("none", "default")
# Classes of diffusers that draw with an SDXL-like model from one step on. Left out: PNDM (fails
# below four), EDMEuler (for models trained on EDM's sigmas), DPMSolverSDE (needs torchsde).
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
# torch seeds its CPU generator with the low 32 bits: seed and seed + 2**32 are one stream,
# and two cells must not be one set of images.
MAX_SEED = 2**32 - 1


@dataclass(frozen=True)
class LoraUse:
    """One adapter of a stack."""

    name: str
    """A card's name or a path to a ``.safetensors`` file or folder."""
    weight: float
    """Its scale; 0 means absent."""


@dataclass(frozen=True)
class Request:
    """One point of a sweep as the user wrote it, validated. Names, not digests."""

    model: str
    """A model card's name (``local`` together with ``model_path``)."""
    model_path: str | None
    """A folder or file of weights; ``None`` for a card's own location."""
    prompts: str
    """Name of the prompt set, for display; the texts are passed separately."""
    num_inference_steps: int
    """Denoising steps, at least 1."""
    guidance_scale: float
    """Classifier-free guidance; at most 1 means none (diffusers' rule)."""
    width: int
    """Pixels, a multiple of 64."""
    height: int
    """Pixels, a multiple of 64."""
    batch_size: int
    """Images a pipeline call, 1 to 64."""
    lora: tuple[LoraUse, ...]
    """Adapters in the order given; empty means none."""
    seed: int
    """Seed of the first image."""
    seed_mode: Literal["increment", "same"]
    """``increment``: image i has seed + i; ``same``: every prompt has the same."""
    negative_prompt: str | None
    """``None``: no negative prompt was given (zero embeddings on SDXL)."""
    scheduler: str | None
    """One of :data:`SCHEDULERS` instead of the checkpoint's own; ``None`` keeps it."""
    dtype: str
    """``float32``, ``float16`` or ``bfloat16``."""
    vae: str | None
    """A packaged VAE or a folder in place of the checkpoint's own; ``None`` keeps that."""
    quantization: str
    """torchao's, of the UNet's linear layers: ``int8wo`` and ``float8wo`` of weights only,
    ``int8dq`` of activations as well; ``none``: as it is."""
    compile: str
    """Mode of ``torch.compile`` for the UNet; ``none``: as it is."""
    num_images: int | None
    """Images in all; ``None`` means one a prompt."""

    @classmethod
    def from_config(cls, values: Mapping[str, Any]) -> Request:
        """Validate plain config values; raises :class:`InputError`."""
        width, height = parse_resolution(values["resolution"])
        model = values["model"]
        scheduler = values.get("scheduler")
        num_images = values.get("num_images")
        return cls(
            model=_text("model", model["name"]),
            model_path=None if model.get("path") is None else str(model["path"]),
            prompts=str(values["prompts"]["name"]),
            num_inference_steps=_integer(
                "num_inference_steps", values["num_inference_steps"], 1, 1000
            ),
            guidance_scale=_guidance(values["guidance_scale"]),
            width=width,
            height=height,
            batch_size=_integer("batch_size", values["batch_size"], 1, MAX_BATCH_SIZE),
            lora=parse_lora(values["lora"]),
            seed=_integer("seed", values["seed"], 0, MAX_SEED),
            seed_mode=cast(
                Literal["increment", "same"], _choice("seed_mode", values["seed_mode"], SEED_MODES)
            ),
            negative_prompt=_optional_text("negative_prompt", values.get("negative_prompt")),
            scheduler=None if scheduler is None else _choice("scheduler", scheduler, SCHEDULERS),
            dtype=_choice("dtype", values["dtype"], DTYPES),
            vae=None if values.get("vae") in (None, "none") else str(values["vae"]),
            quantization=_choice("quantization", values.get("quantization", "none"), QUANTIZATIONS),
            compile=_choice("compile", values.get("compile", "none"), COMPILE_MODES),
            num_images=None if num_images is None else _integer("num_images", num_images, 1, None),
        )


def parse_resolution(value: Any) -> tuple[int, int]:
    """``512``, ``"512"`` or ``"768x512"`` (width x height) to two multiples of 64."""
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


def parse_lora(value: Any) -> tuple[LoraUse, ...]:
    """``none``, or names or files with ``@weight`` (1 if left out), joined by ``+``."""
    text = "none" if value is None else str(value).strip()
    if text.lower() in ("none", ""):
        return ()
    uses = [_parse_lora_use(text, part.strip()) for part in text.split("+")]
    names = [use.name for use in uses]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"lora={text}: {name} is named twice; give one weight for it")
    return tuple(uses)


def _parse_lora_use(text: str, part: str) -> LoraUse:
    name, mark, weight = part.rpartition("@")
    if not mark:
        name, weight = part, "1"
    try:
        number = float(weight)
    except ValueError:
        number = math.nan
    if not name or name.lower() == "none" or not math.isfinite(number):
        raise InputError(
            f"lora={text}: {part!r} is not NAME or NAME@WEIGHT; for example flat@0.8+ink@0.5"
        )
    return LoraUse(name, number + 0.0)


def format_lora(uses: Sequence[LoraUse]) -> str:
    """The inverse of :func:`parse_lora`."""
    return "+".join(f"{use.name}@{_weight_text(use.weight)}" for use in uses) or "none"


def _weight_text(weight: float) -> str:
    """All digits and no exponent: ``1e+06`` would read as two adapters."""
    text = format(Decimal(repr(weight)), "f")
    return text.removesuffix(".0")


def _integer(field: str, value: Any, low: int, high: int | None) -> int:
    rule = f"must be at least {low}" if high is None else f"must be an integer from {low} to {high}"
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputError(f"{field}={value}: {rule}")
    if value < low or (high is not None and value > high):
        raise InputError(f"{field}={value}: {rule}")
    return value


def _guidance(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InputError(f"guidance_scale={value}: must be a number, 0 for no guidance")
    number = float(value)
    if not math.isfinite(number) or number < 0:
        raise InputError(
            f"guidance_scale={value}: must be finite and at least 0 (0 to 1 all mean no guidance)"
        )
    return number


def _choice(field: str, value: Any, valid: Sequence[str]) -> str:
    if value not in valid:
        raise unknown_name(field, str(value), valid)
    return str(value)


def _text(field: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise InputError(f"{field}={value}: must be a non-empty name")
    return value


def _optional_text(field: str, value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise InputError(f"{field}={value}: must be text, or null for none")
