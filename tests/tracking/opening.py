"""Open a local database in child processes, and kill or starve some of them on the way.

Run as a script: ``opening.py FOLDER NAME ...`` with names of :func:`stops`. It imports MLflow
once, forks, and prints the exit codes as JSON.
"""

from __future__ import annotations

import functools
import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from sqlalchemy import event
from sqlalchemy.engine import Engine

from tests.report.results import sweep_result
from turbo_lab.documents.sweep import SweepResult
from turbo_lab.errors import IncompleteError
from turbo_lab.tracking import Tracker, TrackingSettings


@functools.cache
def sweep_of(folder: Path) -> SweepResult:
    """Return the sweep of a folder; its files are made before a process is starved."""
    return sweep_result(folder)


def project(folder: Path) -> None:
    """Project one sweep, as ``turbo-lab sweep`` does."""
    sweep = sweep_of(folder)
    ids = Tracker(TrackingSettings.local(folder, "none")).project(sweep)
    assert sorted(ids) == ["a0", "a1", "a2", "a3"]


def open_by_mlflow(folder: Path) -> None:
    """Create the schema in place, as earlier versions did."""
    SqlAlchemyStore(f"sqlite:///{folder / 'mlflow.db'}", folder.as_uri())


def kill_at_statement(number: int) -> None:
    """Kill this process before its ``number``-th SQL statement."""
    seen = 0

    def count(*_: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == number:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Engine, "before_cursor_execute", count)


def kill_at_rename() -> None:
    """Kill this process when it is about to rename a file."""

    def hook(name: str, _: object) -> None:
        if name == "os.rename":
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def starve(num_bytes: int) -> None:
    """Let no file of this process grow beyond a size, as on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, num_bytes))


def child(*calls: Callable[[], None]) -> int:
    """Run calls in a fork and return its process id."""
    process = os.fork()
    if process:
        return process
    try:
        for call in calls:
            call()
    except IncompleteError as error:
        print(error, file=sys.stderr)
        os._exit(3)
    except BaseException as error:  # noqa: BLE001  (a fork must never return to the caller)
        print(repr(error), file=sys.stderr)
        os._exit(1)
    os._exit(0)


def ended(process: int) -> int:
    """Return an exit code, or minus the signal."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def stops() -> dict[str, tuple[Callable[[], None], Callable[[Path], None]]]:
    """What stops a first opening, and the opening that it stops, by name."""
    at_statement = {n: functools.partial(kill_at_statement, n) for n in (1, 2, 60, 150, 300)}
    return {
        **{f"ours {n}": (stop, project) for n, stop in at_statement.items()},
        "ours at the rename": (kill_at_rename, project),
        **{f"mlflow {n}": (stop, open_by_mlflow) for n, stop in at_statement.items()},
        **{
            f"full {size}": (functools.partial(starve, size), project)
            for size in (512, 4096, 300_000)
        },
    }


def broken_then_mended(root: Path, name: str) -> tuple[int, int]:
    """Exit codes of a first opening that is stopped, and of the next one in that folder."""
    stop, task = stops()[name]
    folder = root / name
    folder.mkdir()
    sweep_of(folder)
    first = ended(child(stop, functools.partial(task, folder)))
    return first, ended(child(functools.partial(project, folder)))


def at_once(root: Path) -> list[int]:
    """Exit codes of four first openings of one folder."""
    folder = root / "four"
    folder.mkdir()
    one = functools.partial(project, folder)
    return [ended(process) for process in [child(one) for _ in range(4)]]


if __name__ == "__main__":
    root, *names = sys.argv[1:]
    outcome: dict[str, Any] = {name: broken_then_mended(Path(root), name) for name in names}
    print(json.dumps(outcome | {"four": at_once(Path(root))}))
