"""Shorthands of lists, spelled out before Hydra reads them.

``seed=1-4`` and ``guidance_scale=0:3:0.5`` are ranges that include their end, and
``lora=loras/*.safetensors`` lists files. Everything else is passed on as it was written.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

from hydra.core.override_parser.types import Quote, QuotedString

from turbo_lab.config.grid import MAX_POINTS
from turbo_lab.errors import InputError
from turbo_lab.untrusted.paths import user_path

_NUMBERS = (
    "num_inference_steps",
    "guidance_scale",
    "batch_size",
    "seed",
    "num_images",
    "lora_weight",
)
_FILES = ("model.path", "prompts.path", "vae")
_COUNT = re.compile(r"(\d+)-(\d+)")
_NUMBER = r"-?\d+(?:\.\d+)?"
_STEPS = re.compile(rf"({_NUMBER}):({_NUMBER})(?::({_NUMBER}))?")
# What Hydra reads as one value although it contains a comma.
_STRUCTURED = re.compile(r"""['"\[({]""")
_WILDCARD = re.compile(r"[*?]")
# OmegaConf reads backslashes only in front of an interpolation.
_INTERPOLATION = re.compile(r"(\\*)\$\{")
_LORA_WEIGHT = re.compile(r"@-?[\d.]+$")


def spelled_out(word: str) -> str:
    """Return a word of the command line with ranges and file patterns as lists.

    Raises :class:`InputError` for a range without values, for one of more than
    :data:`MAX_POINTS`, and for a pattern that no file matches.
    """
    key, equals, value = word.partition("=")
    if not equals or _STRUCTURED.search(value):
        return word
    spell: Callable[[str, str], list[str] | None]
    if key in _NUMBERS:
        spell = _range
    elif key == "lora":
        spell = _loras
    elif key in _FILES:
        spell = _files
    else:
        return word
    spelled = [spell(word, part) or [part] for part in value.split(",")]
    return f"{key}={','.join(one for part in spelled for one in part)}"


def _range(word: str, part: str) -> list[str] | None:
    """Return the values of ``1-4`` or ``0:3:0.5``; ``None`` for anything else."""
    if found := _COUNT.fullmatch(part):
        start, stop, step = Decimal(found[1]), Decimal(found[2]), Decimal(1)
    elif found := _STEPS.fullmatch(part):
        start, stop, step = Decimal(found[1]), Decimal(found[2]), Decimal(found[3] or 1)
    else:
        return None
    if step <= 0 or stop < start:
        raise InputError(f"{word}: {part} must count up, as in 1-4 or 0:3:0.5")
    if stop - start >= step * MAX_POINTS:
        raise InputError(f"{word}: {part} lists more than {MAX_POINTS} values")
    values = (start + k * step for k in range(int((stop - start) // step) + 1))
    return [str(int(v)) if v == v.to_integral_value() else f"{v.normalize():f}" for v in values]


def _files(word: str, part: str) -> list[str] | None:
    """Return the files and folders that a pattern matches, each as Hydra reads a text."""
    if not _WILDCARD.search(part):
        return None
    return [quoted(path) for path in _matches(word, part)]


def _loras(word: str, part: str) -> list[str] | None:
    """Return one value of ``lora`` per file that its pattern or folder matches."""
    pattern = _LORA_WEIGHT.sub("", part)
    weight = part[len(pattern) :]
    if _WILDCARD.search(pattern):
        files = _matches(word, pattern)
    elif pattern.endswith("/"):
        files = _matches(word, f"{glob.escape(pattern)}*")
    else:
        return None
    found = [path for path in files if _is_lora(Path(path))]
    if not found:
        raise InputError(f"{word}: {pattern} matches no .safetensors file")
    return [quoted(_lora_name(path) + weight) for path in found]


def _is_lora(path: Path) -> bool:
    """Return whether a path may be an adapter: a safetensors file, or a folder of peft's."""
    return path.suffix == ".safetensors" or (path / "adapter_config.json").is_file()


def _lora_name(path: str) -> str:
    """Return a path as ``lora`` reads it: quoted where a character has a meaning there."""
    if not re.search(r"[+@'\"]", path):
        return path
    mark = "'" if '"' in path else '"'
    return f"{mark}{path}{mark}"


def _matches(word: str, pattern: str) -> Iterator[str]:
    """Yield what a pattern matches, sorted. Raises :class:`InputError` if that is nothing."""
    found = sorted(glob.glob(str(user_path(pattern))))
    if not found:
        raise InputError(f"{word}: {pattern} matches nothing")
    if len(found) > MAX_POINTS:
        raise InputError(f"{word}: {pattern} matches more than {MAX_POINTS} files")
    yield from found


def quoted(text: str) -> str:
    """Return a text in Hydra's grammar, with any characters in it."""
    escaped = _INTERPOLATION.sub(lambda found: f"{found[1] * 2}\\${{", text)
    return str(QuotedString(escaped, Quote.single).with_quotes())


def unescaped(text: str) -> str:
    """Return a text as OmegaConf reads it, with ``\\${`` as ``${``."""
    return _INTERPOLATION.sub(_without_escapes, text)


def _without_escapes(found: re.Match[str]) -> str:
    """Return half the backslashes in front of an escaped ``${``; any other stays as it is."""
    number = len(found[1])
    return "\\" * (number // 2) + "${" if number % 2 else found[0]
