"""Functions run in forks of a process that has the slow imports done.

A new interpreter spends seconds of CPU time on imports; a fork of one that has
done them spends none. A fork shares its hash seed and its imported modules with
every other, so a test of what a new process brings along starts one instead.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

_CONTEXT = multiprocessing.get_context("forkserver")
# The first fork of a test process starts the server, which then imports these.
_CONTEXT.set_forkserver_preload(
    ["xdist.plugin", "hypothesis", "hydra.utils", "turbo_lab.pytest_plugin", "PIL.Image"]
)


def run_in_fork(function: Callable[..., int], *arguments: Any, folder: Path) -> tuple[int, str]:
    """Return the exit code and the output of ``function(*arguments)``, run inside ``folder``."""
    output = folder.with_name(f"{folder.name}.output")
    process = _CONTEXT.Process(target=_run, args=(function, arguments, folder, output))
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode, output.read_text()


def _run(
    function: Callable[..., int], arguments: tuple[Any, ...], folder: Path, output: Path
) -> None:
    os.chdir(folder)
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for number in (1, 2):
        os.dup2(file, number)
    sys.exit(function(*arguments))
