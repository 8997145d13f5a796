"""Shorthands of lists, spelled out before Hydra reads them.

``seed=1-4`` and ``guidance_scale=0:3:0.5`` are ranges that include their end.
``lora=loras/*.safetensors`` lists files, and so do the folders of ``lora=loras/`` and
``model.path=checkpoints``. Everything else is passed on as it was written.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path

from hydra.core.override_parser.types import Quote, QuotedString

from turbo_lab.cards import is_model
from turbo_lab.config.grid import MAX_POINTS
from turbo_lab.errors import InputError
from turbo_lab.progress import StderrProgress
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
_SUFFIX = ".safetensors"
_ADAPTER_CONFIG = "adapter_config.json"
# Most names in a message.
_MAX_NAMED = 5
_LORA_WEIGHT = re.compile(r"@-?[\d.]+$")


def spelled_out(word: str) -> str:
    """Return a word of the command line with ranges and file patterns as lists.

    Raises :class:`InputError` for a range without values, for one of more than
    :data:`MAX_POINTS`, for a pattern that no file matches, and for a folder with nothing to use.
    What is not used in a folder is a note of the call's progress.
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
    """Return what a pattern or a folder of models lists, each as Hydra reads a text."""
    if _WILDCARD.search(part):
        return [quoted(path) for path in _matches(word, part)]
    folder = user_path(part)
    if not word.startswith("model.path=") or not _is_readable(folder, Path.is_dir):
        return None
    # A folder with a UNet is a model that is not whole: locating it says what it lacks.
    if _is_readable(folder, is_model) or _is_readable(folder / "unet", Path.is_dir):
        return None
    found = _usable(word, part, is_model, f"a {_SUFFIX} file or a diffusers folder")
    return [quoted(path) for path in found]


def _loras(word: str, part: str) -> list[str] | None:
    """Return one value of ``lora`` per adapter that its pattern or folder lists.

    A folder is named with a slash at its end, because a name without one is that of a card.
    """
    name = _LORA_WEIGHT.sub("", part)
    weight = part[len(name) :]
    if _WILDCARD.search(name):
        found = [path for path in _matches(word, name) if _is_lora(Path(path))]
        if not found:
            raise InputError(f"{word}: {name} matches no {_SUFFIX} file")
    elif name.endswith("/") and not _is_readable(user_path(name), _is_lora):
        what = f"a {_SUFFIX} file or a folder with {_ADAPTER_CONFIG}"
        found = _usable(word, name, _is_lora, what)
    else:
        return None
    return [quoted(_lora_name(path) + weight) for path in found]


def _is_lora(path: Path) -> bool:
    """Return whether a path may be an adapter: a safetensors file, or a folder of peft's."""
    return (path.is_file() and path.suffix == _SUFFIX) or (path / _ADAPTER_CONFIG).is_file()


def _usable(word: str, part: str, is_usable: Callable[[Path], bool], what: str) -> list[str]:
    """Return what is usable in a folder; say what is not. ``what``: what is looked for."""
    folder = user_path(part)
    try:
        entries = [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        raise InputError(f"{word}: {part} cannot be read ({error.strerror})") from error
    usable = {path for path in entries if _is_readable(path, is_usable)}
    found = sorted(map(str, usable), key=_natural)
    skipped = sorted((path.name for path in entries if path not in usable), key=_natural)
    if not found:
        raise InputError(
            f"{word}: {part} is not {what}, and has none in it; it has {_named(skipped)}"
        )
    _check_number(word, part, found)
    if skipped:
        StderrProgress().note(f"warning: {word}: skipped {_named(skipped)}: not {what}")
    return found


def _is_readable(path: Path, is_usable: Callable[[Path], bool]) -> bool:
    """Return whether a path is usable; one that must not be read is not."""
    try:
        return is_usable(path)
    except OSError:
        return False


def _named(names: Sequence[str]) -> str:
    """Return the first of some names for a message."""
    shown, rest = ", ".join(names[:_MAX_NAMED]), len(names) - _MAX_NAMED
    return f"{shown} and {rest} more" if rest > 0 else shown or "no files"


def _natural(text: str) -> list[tuple[int, str]]:
    """Return a key by which ``step-2`` comes before ``step-10``."""
    parts = re.split(r"([0-9]+)", text)
    return [(int(part), "") if k % 2 else (-1, part) for k, part in enumerate(parts)]


def _lora_name(path: str) -> str:
    """Return a path as ``lora`` reads it: quoted where a character has a meaning there."""
    if not re.search(r"[+@'\"]", path):
        return path
    mark = "'" if '"' in path else '"'
    return f"{mark}{path}{mark}"


def _matches(word: str, pattern: str) -> list[str]:
    """Return what a pattern matches, sorted. Raises :class:`InputError` if that is nothing."""
    found = sorted(glob.glob(str(user_path(pattern))), key=_natural)
    if not found:
        raise InputError(f"{word}: {pattern} matches nothing")
    _check_number(word, pattern, found)
    return found


def _check_number(word: str, what: str, found: Sequence[str]) -> None:
    if len(found) > MAX_POINTS:
        raise InputError(f"{word}: {what} lists more than {MAX_POINTS} files")


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
