"""Checks of Hydra's overrides that Hydra would accept silently or explain badly."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import (
    ChoiceSweep,
    Glob,
    Override,
    OverrideType,
    QuotedString,
    RangeSweep,
)
from hydra.errors import HydraException

from turbo_lab.cards import choices_of, conf_dir
from turbo_lab.config.grid import MAX_POINTS, too_many_points
from turbo_lab.config.keys import known_keys
from turbo_lab.config.words import unescaped
from turbo_lab.errors import InputError, unknown_name

# Names of our keys in other tools, which are too different for a spelling hint.
_OTHER_NAMES = {
    "cfg": "guidance_scale",
    "cfg_scale": "guidance_scale",
    "loras": "lora",
    "sampler": "scheduler",
    "size": "resolution",
    "width": "resolution",
    "height": "resolution",
    "count": "num_images",
}


def check_overrides(overrides: Sequence[str]) -> None:
    """Refuse overrides that Hydra would accept silently or explain badly."""
    parser = OverridesParser.create()
    for text in overrides:
        if not text.isprintable() and not _is_unicode(text):
            raise InputError(f"{text}: is not valid UTF-8; write it in UTF-8")
        try:
            override = parser.parse_override(text)
        except ValueError as error:  # Hydra leaves a number of over 4,300 digits to int()
            raise InputError(f"{text}: the number has too many digits") from error
        except HydraException as error:
            reason = str(error).splitlines()[0]
            raise InputError(
                f"{text}: {reason}; write key=value, and quote values with , = ( or spaces"
            ) from error
        if override.type is not OverrideType.CHANGE:
            raise InputError(f"{text}: keys cannot be added or removed; write key=value")
        if text.startswith(("hydra/", "hydra.")):
            raise InputError(f"{text}: {text.split('=')[0]} is turbo-lab's own; leave it out")
        _check_comma(override)
        if not (num_values := _num_values(override)):
            rule = (
                "glob(...) takes its values from the names of a model, prompt set or other group"
                if isinstance(override.value(), Glob)
                else "range(1,5) is 1, 2, 3, 4"
            )
            raise InputError(f"{text}: lists no value; {rule}")
        if num_values > MAX_POINTS:
            raise too_many_points(text)
        key = override.key_or_group
        root = key.split(".")[0].split("/")[0].split("@")[0]
        if root not in known_keys():
            raise unknown_name("key", key, known_keys(), _OTHER_NAMES.get(root.lower()))
        if (conf_dir() / key).is_dir():
            _check_choices(key, override)


def _is_unicode(text: str) -> bool:
    """Return whether a word of the command line was valid UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_comma(override: Override) -> None:
    """Refuse a prompt with a comma that Hydra would take for a list of prompts."""
    value, key = override.value(), override.key_or_group
    if key not in ("prompt", "negative_prompt") or not isinstance(value, ChoiceSweep):
        return
    if value.simple_form and any(isinstance(one, str) for one in value.list):
        listed = override.input_line.partition("=")[2]
        text, choice = '"' + listed.replace('"', r"\"") + '"', f"choice({listed})"
        raise InputError(
            f"{override.input_line}: is one text with a comma, or a list? Write "
            f"{key}={shlex.quote(text)} for the text, or {key}={shlex.quote(choice)} for the list"
        )


def _num_values(override: Override) -> int:
    """Return how many values an override lists, without listing them."""
    value = override.value()
    if isinstance(value, Glob):
        return len(value.filter(choices_of(override.key_or_group)))
    if isinstance(value, RangeSweep):
        assert value.start is not None and value.stop is not None
        steps = (value.stop - value.start) / value.step if value.step else 0
        return max(0, math.ceil(steps))
    return len(value.list) if isinstance(value, ChoiceSweep) else 1


def _check_choices(group: str, override: Override) -> None:
    """Refuse a choice that is not a file of its config group."""
    if isinstance(override.value(), Glob):
        return  # it matches files of the group only
    swept = override.is_sweep_override() and override.is_discrete_sweep()
    choices = list(override.sweep_iterator()) if swept else [override.value()]
    valid = choices_of(group)
    for choice in choices:
        if isinstance(choice, Glob):
            raise InputError(f"{override.input_line}: glob(...) cannot be one value of a list")
        if str(value_of(choice)) not in valid:
            raise unknown_name(group, str(value_of(choice)), valid)


def value_of(element: object) -> object:
    """Return a value of an override as plain text or number, without its quotes."""
    text = element.text if isinstance(element, QuotedString) else element
    return unescaped(text) if isinstance(text, str) else text
