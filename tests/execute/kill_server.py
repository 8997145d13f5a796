"""A process with the imports done, which forks a sweep for each line it reads.

Reads ``{"cwd", "arguments", "after_s" | "at_event" | null, "signal"}`` a line,
answers ``{"code", "events", "seconds"}``: the exit code, negative for a signal;
events are the file operations of the sweep inside its store, counted by an
audit hook, and ``at_event`` kills right before that one.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from pathlib import Path
from typing import Any

_EVENTS = ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "shutil.rmtree")


def _child(request: dict[str, Any], report: int) -> None:
    from turbo_lab.cli import main

    os.chdir(request["cwd"])
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(os.open(request["errors"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    store = str(Path(request["cwd"]) / "turbo-lab-store")
    count = 0

    def hook(event: str, args: tuple[Any, ...]) -> None:
        nonlocal count
        if event not in _EVENTS or not str(args[0]).startswith(store):
            return
        count += 1
        if count == request["at_event"]:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    code = main(request["arguments"])
    os.write(report, str(count).encode())
    os._exit(code)


def _serve(request: dict[str, Any]) -> dict[str, Any]:
    reading, writing = os.pipe()
    began = time.perf_counter()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _child(request, writing)
    os.close(writing)
    handle = os.pidfd_open(pid)
    ended, _, _ = select.select([handle], [], [], request["after_s"])
    if not ended:
        signal.pidfd_send_signal(handle, request["signal"])
    _, status = os.waitpid(pid, 0)
    events = os.read(reading, 32).decode()
    for each in (handle, reading):
        os.close(each)
    seconds = time.perf_counter() - began
    return {
        "code": os.waitstatus_to_exitcode(status),
        "events": int(events) if events else None,
        "seconds": seconds,
    }


def main() -> None:
    """Import what a sweep imports, then serve."""
    import torch
    from diffusers import StableDiffusionXLPipeline  # noqa: F401

    import turbo_lab.commands.sweep
    import turbo_lab.runtime.sampler  # noqa: F401

    torch.set_num_threads(1)  # a fork must not inherit a pool of threads
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(_serve(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
