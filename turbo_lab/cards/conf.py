"""The config files: where they are, and how their values are read.

They are packaged, and in the folder of the user's own groups while :func:`with_own_groups` has one.

Owns the typed access to a node of the config, whether Hydra composed it or its YAML file was
read. A value of another type or out of range is an error that names the key, the value, the
rule and the remedy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from math import inf, isfinite
from pathlib import Path
from typing import TypeVar

from turbo_lab.errors import InputError, unknown_name

_PACKAGE = Path(__file__).parent.parent
T = TypeVar("T", bound=str)
_OWN: ContextVar[Path | None] = ContextVar("own_groups", default=None)


def conf_dir() -> Path:
    """Return the Hydra config folder: in the installed package, or next to it in a checkout."""
    installed = _PACKAGE / "conf"
    return installed if installed.is_dir() else _PACKAGE.parent / "conf"


def own_groups() -> Path | None:
    """Return the folder of the user's own groups; ``None``: there is none."""
    return _OWN.get()


@contextmanager
def with_own_groups(folder: Path | None) -> Iterator[None]:
    """Read the user's own groups as well, in this call; ``None``: only those that are packaged."""
    before = _OWN.set(folder)
    try:
        yield
    finally:
        _OWN.reset(before)


def config_files(group: str) -> dict[str, Path]:
    """Return the files of a config group by the name of the choice, sorted."""
    folders = [conf_dir(), *filter(None, [own_groups()])]
    return {path.stem: path for path in sorted(_files_of(group, folders), key=lambda p: p.stem)}


def _files_of(group: str, folders: Sequence[Path]) -> Iterator[Path]:
    for folder in folders:
        yield from (folder / group).glob("*.yaml")


def choices_of(group: str) -> list[str]:
    """Return the names of a config group's files, sorted."""
    return list(config_files(group))


@dataclass(frozen=True)
class ConfigNode:
    """One node of the config, read one key at a time. A key that is absent reads as ``None``."""

    values: Mapping[str, object]
    """Plain values by key."""
    name: str = ""
    """Dotted key of the node itself, for messages; empty for the whole config."""

    def get(self, key: str) -> object:
        """Return a value that has no rule here."""
        return self.values.get(key)

    def node(self, key: str) -> ConfigNode:
        """Return a node below this one."""
        value = self.get(key)
        if not isinstance(value, Mapping):
            raise self.error(key, "must be a mapping of keys and values")
        return ConfigNode(value, self._full(key))

    def text(self, key: str) -> str:
        """Return a value as text; a number keeps the form that YAML gives it."""
        found = self.optional_text(key)
        if not found:
            raise self.error(key, "must be a non-empty text")
        return found

    def optional_text(self, key: str) -> str | None:
        """Return a value as text, or ``None`` if there is none."""
        value = self.get(key)
        if isinstance(value, (Mapping, list)):
            raise self.error(key, "must be text, or null for none")
        return None if value is None else str(value)

    def integer(self, key: str, low: int, high: int | None = None) -> int:
        """Return an integer from ``low`` to ``high``, both included."""
        value, most = self.get(key), inf if high is None else high
        rule = f"an integer, at least {low}" if high is None else f"an integer from {low} to {high}"
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= most:
            raise self.error(key, f"must be {rule}")
        return value

    def optional_integer(self, key: str, low: int, high: int | None = None) -> int | None:
        """Return an integer, or ``None`` if there is none."""
        return None if self.get(key) is None else self.integer(key, low, high)

    def number(self, key: str) -> float:
        """Return a finite number."""
        value = self.get(key)
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not isfinite(value):
            raise self.error(key, "must be a finite number")
        return float(value)

    def boolean(self, key: str) -> bool:
        """Return ``true`` or ``false``."""
        value = self.get(key)
        if not isinstance(value, bool):
            raise self.error(key, "must be true or false")
        return value

    def choice(self, key: str, valid: Sequence[T], default: T | None = None) -> T:
        """Return one of ``valid``; ``default`` stands in for a value that is absent or null."""
        value = self.get(key)
        if value is None and default is not None:
            return default
        for name in valid:
            if value == name:
                return name
        raise unknown_name(self._full(key), str(value), valid)

    def optional_choice(self, key: str, valid: Sequence[T]) -> T | None:
        """Return one of ``valid``, or ``None`` if there is none."""
        return None if self.get(key) is None else self.choice(key, valid)

    def error(self, key: str, rule: str) -> InputError:
        """Return the error for a value that breaks a rule: ``KEY=VALUE: RULE``."""
        return InputError(f"{self._full(key)}={self.get(key)}: {rule}")

    def _full(self, key: str) -> str:
        return f"{self.name}.{key}" if self.name else key
