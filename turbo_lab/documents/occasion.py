"""When, where and of which code something was measured."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from turbo_lab.environment import Fingerprint, GitState, git_state
from turbo_lab.untrusted.redaction import redact


@dataclass(frozen=True)
class Occasion:
    """When, where and of which code something was measured."""

    date: str
    """Date and time in UTC, such as ``2026-11-27T17:05:00+00:00``."""
    git: GitState | None
    """Repository of the working directory. ``None``: it was not in one."""
    command: tuple[str, ...]
    """Words of the command line, without passwords."""
    keys: Mapping[str, object]
    """Keys of the environment: versions, device and settings."""
    options: Mapping[str, object]
    """Other facts about the environment, such as ``host``."""


def occasion_now(command: Sequence[str], fingerprint: Fingerprint) -> Occasion:
    """Return the occasion of something that was measured just now in this process."""
    return Occasion(
        date=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        git=git_state(Path.cwd()),
        command=tuple(redact(word) for word in command),
        keys=fingerprint.keys,
        options=fingerprint.options,
    )
