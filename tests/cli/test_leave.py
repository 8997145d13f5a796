"""The end of the process: exit code, output and handlers as always, and no teardown."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# At a normal end Python clears the module, which frees ``last``.
CODE = """
import atexit, os, sys, threading
{imports}
from turbo_lab.cli.leave import leave

class Last:
    def __del__(self):
        os.write(2, b"torn down\\n")

last = Last()
atexit.register(print, "handler")
print("x" * 200_000)
{more}
leave(3)
"""


def end_of(imports: str, more: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run CODE in a fresh interpreter with its output in pipes."""
    return subprocess.run(
        [sys.executable, "-c", CODE.format(imports=imports, more=more)],
        capture_output=True,
        text=True,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("imports", "more", "stderr"),
    [
        ("", "", "torn down\n"),
        ("import torch", "", ""),
        ("import numpy", "", ""),
        ("import torch", "sys.stderr.close()", ""),
    ],
)
def test_output_handlers_and_exit_code_are_kept(
    imports: str, more: str, stderr: str, tmp_path: Path
) -> None:
    done = end_of(imports, more, tmp_path)
    assert (done.returncode, done.stderr) == (3, stderr)
    assert done.stdout == "x" * 200_000 + "\nhandler\n"


def test_threads_at_work_are_waited_for(tmp_path: Path) -> None:
    more = """
goes_on = threading.Event()
threading.Thread(target=lambda: (goes_on.wait(), os.write(2, b"finished\\n"))).start()
threading.Timer(0.1, goes_on.set).start()
"""
    done = end_of("import torch", more, tmp_path)
    assert (done.returncode, done.stderr) == (3, "finished\ntorn down\n")


def test_a_caller_who_captures_the_output_goes_on(tmp_path: Path) -> None:
    more = """
import contextlib, io
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    leave(2)
print("goes on")
"""
    done = end_of("import torch", more, tmp_path)
    assert done.returncode == 3
    assert done.stdout.endswith("\ngoes on\nhandler\n")
