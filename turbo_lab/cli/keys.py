"""The config's keys for help and completion, read from ``conf/``."""

from __future__ import annotations

import re
from collections.abc import Sequence

from turbo_lab.cards import choices_of, conf_dir
from turbo_lab.environment import DEVICES

_GROUP = re.compile(r"^  - ([a-z_]+): ", flags=re.MULTILINE)
_KEY = re.compile(r"^([a-z_]\w*): ([^#\n]*?) *(?:# (.*))?$", flags=re.MULTILINE)


def keys_help() -> list[tuple[str, str]]:
    """Return (``key=default``, comment) of every key of ``config.yaml``."""
    text = (conf_dir() / "config.yaml").read_text(encoding="utf-8")
    return [(f"{key}={_default(value)}", note or "") for key, value, note in _KEY.findall(text)]


def groups() -> list[str]:
    """Return the names of the config groups, in the order of ``config.yaml``."""
    return _GROUP.findall((conf_dir() / "config.yaml").read_text(encoding="utf-8"))


def groups_help() -> list[tuple[str, str]]:
    """Return (``group=``, its choices) of every config group."""
    return [(f"{group}=", ", ".join(choices_of(group))) for group in groups()]


def key_names() -> list[str]:
    """Return every top-level key and group."""
    text = (conf_dir() / "config.yaml").read_text(encoding="utf-8")
    return sorted({key for key, _, _ in _KEY.findall(text)} | set(groups()))


def values_of(key: str) -> Sequence[str]:
    """Return the values that a key is known to take; empty if any value will do."""
    from turbo_lab.cards import adapter_names
    from turbo_lab.planning.options import ON_OUT_OF_MEMORY, SHARES, TIMINGS
    from turbo_lab.request.pipeline import CHOICES, SWITCHES
    from turbo_lab.request.request import DTYPES, SCHEDULERS, SEED_MODES

    if key in groups():
        return choices_of(key)
    known: dict[str, Sequence[str]] = {
        "lora": ("none", *adapter_names()),
        "scheduler": SCHEDULERS,
        "dtype": DTYPES,
        "device": DEVICES,
        **CHOICES,
        **dict.fromkeys(SWITCHES, ("false", "true")),
        "seed_mode": SEED_MODES,
        "share": SHARES,
        "on_out_of_memory": ON_OUT_OF_MEMORY,
        "timing": TIMINGS,
    }
    return known.get(key, ())


def _default(value: str) -> str:
    """Return what applies if the key is not given; interpolations name where it comes from."""
    return "(the model's)" if value.startswith("${model.") else value
