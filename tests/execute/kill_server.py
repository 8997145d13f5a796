"""A process with the imports done, which forks sweeps for each line it reads.

A line is a list of requests, whose sweeps run at once; the answer is a list::

    {"cwd", "arguments", "signal", "after_s", "at_event", "at_step", "largest_file", "dies_of_it"}
    {"code", "steps", "seconds"}

``code`` is the exit code, negative for a signal. ``steps`` are the file
operations of the sweep inside its store, counted by an audit hook, such as
``open tmp/*.png``. ``signal`` is sent right before the one of number ``at_event``
(from 1), before the first one named ``at_step``, or after ``after_s``.
``largest_file`` makes the kernel refuse a write in the middle of a file, which
``dies_of_it`` makes deadly.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import sys
import time
from pathlib import Path
from typing import Any

_EVENTS = ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "shutil.rmtree")
# What has not ended by then hangs.
_LIMIT_S = 240.0


def _step(event: str, path: Path) -> str:
    """``open tmp/*.png``: operation, folder of the layout and kind of file."""
    folder = path.parts[0] if path.parts else "."
    return f"{event} {folder}/*{path.suffix}"


def _watch(request: dict[str, Any], steps: list[str]) -> None:
    """Write down the sweep's file operations, and send it a signal at the one it asks for."""
    store = str(Path(request["cwd"]).resolve() / "turbo-lab-store")

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event not in _EVENTS or not str(args[0]).startswith(store):
            return
        step = _step(event, Path(str(args[0])).relative_to(store))
        steps.append(step)
        if len(steps) == request.get("at_event") or step == request.get("at_step"):
            os.kill(os.getpid(), request["signal"])

    sys.addaudithook(hook)


def _child(request: dict[str, Any], report: int) -> None:
    from turbo_lab.cli.main import main

    os.chdir(request["cwd"])
    for number in (1, 2):
        path = f"{request['output']}.{number}"
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    # As in a terminal; what a shell starts in the background ignores it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if largest := request.get("largest_file"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
        deadly = request.get("dies_of_it")
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL if deadly else signal.SIG_IGN)
    steps: list[str] = []
    _watch(request, steps)
    code = main(request["arguments"])
    sys.stdout.flush()
    with os.fdopen(report, "w") as pipe:
        json.dump(steps, pipe)
    os._exit(code)


def _start(request: dict[str, Any]) -> tuple[int, int]:
    """The child's process handle and the end of its pipe."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _child(request, writing)
    os.close(writing)
    return pid, reading


def _end(request: dict[str, Any], pid: int, reading: int, began: float) -> dict[str, Any]:
    handle = os.pidfd_open(pid)
    after_s = request.get("after_s")
    ended, _, _ = select.select([handle, reading], [], [], _LIMIT_S if after_s is None else after_s)
    if not ended and after_s is not None:
        signal.pidfd_send_signal(handle, request["signal"])
        ended, _, _ = select.select([handle, reading], [], [], _LIMIT_S)
    if not ended:
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    with os.fdopen(reading) as pipe:
        steps = pipe.read()
    _, status = os.waitpid(pid, 0)
    os.close(handle)
    return {
        "code": os.waitstatus_to_exitcode(status),
        "steps": json.loads(steps) if steps else None,
        "seconds": time.perf_counter() - began,
    }


def main() -> None:
    """Import what a sweep imports, then serve."""
    import open_clip  # noqa: F401
    import torch
    from diffusers import StableDiffusionXLPipeline  # noqa: F401

    torch.set_num_threads(1)  # a fork must not inherit a pool of threads
    print("ready", flush=True)
    for line in sys.stdin:
        requests = json.loads(line)
        began = time.perf_counter()
        started = [_start(request) for request in requests]
        answers = [_end(r, *s, began) for r, s in zip(requests, started, strict=True)]
        print(json.dumps(answers), flush=True)


if __name__ == "__main__":
    main()
