"""The config's keys for help and completion, read from ``conf/``."""

from __future__ import annotations

import re

from turbo_lab.cards import conf_dir

GROUPS = ("model", "prompts", "sweep", "metrics", "tracking", "gate")
_KEY = re.compile(r"^([a-z_]+): ([^#\n]*?) *(?:# (.*))?$", flags=re.MULTILINE)


def keys_help() -> list[tuple[str, str]]:
    """Return (``key=default``, comment) of every key of ``config.yaml``."""
    text = (conf_dir() / "config.yaml").read_text(encoding="utf-8")
    return [(f"{key}={_default(value)}", note or "") for key, value, note in _KEY.findall(text)]


def groups_help() -> list[tuple[str, str]]:
    """Return (``group=``, its choices) of every config group."""
    return [(f"{group}=", ", ".join(choices(group))) for group in GROUPS]


def choices(group: str) -> list[str]:
    """Return the names that a config group offers."""
    return sorted(path.stem for path in (conf_dir() / group).glob("*.yaml"))


def key_names() -> list[str]:
    """Return every top-level key and group."""
    text = (conf_dir() / "config.yaml").read_text(encoding="utf-8")
    return sorted({key for key, _, _ in _KEY.findall(text)} | set(GROUPS))


def _default(value: str) -> str:
    """Return what applies if the key is not given; interpolations name where it comes from."""
    return "(the model's)" if value.startswith("${model.") else value
