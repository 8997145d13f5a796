"""``turbo-lab -sc install=bash`` and what the installed script asks for.

Hydra completes keys, groups and their choices, of a program without commands: the
command word is completed here, and taken out of the line that Hydra sees.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from turbo_lab import config

# Commands that take a sweep's keys.
_WITH_KEYS = ("generate", "plan", "sweep", "bench", "compare", "gate", "sync")


def complete(arguments: Sequence[str], commands: Sequence[str]) -> int:
    """``-sc install=SHELL``, ``uninstall=SHELL`` or ``query=SHELL``; returns the exit code."""
    if not any(word.startswith("query=") for word in arguments):
        config.compose("", arguments)  # Hydra prints
        return 0
    line = os.environ.get("COMP_LINE", "")
    program, _, rest = line.partition(" ")
    command, space, rest = rest.lstrip().partition(" ")
    if not space:
        print(*(name for name in commands if name.startswith(command)))
        return 0
    if command not in _WITH_KEYS:
        return 0
    words = os.environ | {"COMP_LINE": f"{program} {rest}"}
    words["COMP_POINT"] = str(len(words["COMP_LINE"]))
    before = dict(os.environ)
    os.environ.update(words)
    try:
        config.compose("", arguments)
    finally:
        os.environ.clear()
        os.environ.update(before)
    return 0
