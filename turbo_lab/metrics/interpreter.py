"""The interpreter of a metric that cannot run in this one, and what is installed there.

Preference and VQA scorers often need other versions of transformers or torch. Owns how such a
scorer is named and what of its interpreter is part of a measurement's fingerprint. Runs nothing of
the scorer itself: see :mod:`turbo_lab.metrics.process`.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from turbo_lab.errors import InputError, MissingFilesError
from turbo_lab.identity import DigestCache
from turbo_lab.untrusted.json_text import parse_json
from turbo_lab.untrusted.paths import user_path

_LIST_PACKAGES = """
import json, sys
from importlib.metadata import distributions
found = {str(one.metadata["Name"]).lower(): one.version for one in distributions()}
print(json.dumps({"python": "%d.%d.%d" % sys.version_info[:3], "packages": found}))
"""
_LIST_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class ScorerProcess:
    """A script that scores images, and the interpreter that runs it."""

    python: str
    """Interpreter, such as ``/opt/scorers/bin/python``."""
    script: str
    """Script that answers requests; see ``docs/metrics.md``."""
    arguments: tuple[str, ...] = ()
    """Arguments of the script. They are part of the fingerprint."""
    timeout_s: float = 600.0
    """Longest time from a request to its answer, in seconds. The first one includes loading."""

    def files(self, metric: str) -> tuple[Path, Path]:
        """Return interpreter and script. Raises :class:`MissingFilesError` if one is absent."""
        python, script = (user_path(text).absolute() for text in (self.python, self.script))
        for path, remedy in (
            (python, "make its environment, or name another interpreter"),
            (script, "name the script of the metric"),
        ):
            if not path.is_file():
                raise MissingFilesError(f"metrics={metric}: {path} does not exist; {remedy}")
        return python, script

    def details(self, metric: str, digests: DigestCache) -> dict[str, object]:
        """Return what a measurement depends on: Python, packages, script and arguments.

        Raises :class:`MissingFilesError` for an absent file, :class:`InputError` for an
        interpreter that does not run.
        """
        python, script = self.files(metric)
        found = _installed(metric, python)
        return {
            "python": found["python"],
            "packages": found["packages"],
            "script": digests.file(script),
            "arguments": list(self.arguments),
        }


def own_environment() -> dict[str, str]:
    """Return this process's environment without what is meant for its own interpreter."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PYTHON") and name != "VIRTUAL_ENV"
    }


@cache
def _installed(metric: str, python: Path) -> Mapping[str, object]:
    """Return the version of an interpreter, and of each package in it."""
    what = f"metrics={metric}: {python}"
    try:
        done = subprocess.run(
            [str(python), "-c", _LIST_PACKAGES],
            capture_output=True,
            text=True,
            check=False,
            env=own_environment(),
            stdin=subprocess.DEVNULL,
            timeout=_LIST_TIMEOUT_S,
        )
    except OSError as error:
        raise InputError(f"{what}: cannot be run ({error.strerror}); name a Python") from error
    except subprocess.TimeoutExpired as error:
        raise InputError(
            f"{what}: did not list its packages within {_LIST_TIMEOUT_S:g} s; try it by hand"
        ) from error
    try:
        values = parse_json(done.stdout)
    except ValueError:
        values = None
    if done.returncode or not isinstance(values, dict) or {"python", "packages"} - set(values):
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise InputError(f"{what}: does not work as a Python ({lines[-1]}); name another")
    return values
