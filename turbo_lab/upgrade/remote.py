"""A probe in another process: requests out, answers in, a limit on silence.

Owns the life of the process. One that ends, stays silent for too long or answers with an error
raises :class:`ProbeError`, which names its side; all that it printed is in its log.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from turbo_lab.errors import JudgementError
from turbo_lab.progress import duration
from turbo_lab.untrusted.redaction import redact
from turbo_lab.untrusted.typed_json import read_typed
from turbo_lab.upgrade.environments import OWN_FOLDER, Environment

T = TypeVar("T")


class ProbeError(JudgementError):
    """A process that could not answer."""

    def __init__(self, side: str, what: str, reason: str) -> None:
        """``side``: whose process; ``what``: the request; ``reason``: in one line."""
        super().__init__(f"{side} could not {what}: {reason}")
        self.reason = reason


class RemoteProbe:
    """The probe of one side, as a context that ends its process."""

    def __init__(
        self, side: str, log: Path, limit_s: float, environment: Environment | None = None
    ) -> None:
        """Start the process.

        ``side``: name in messages. ``log``: file of everything that it prints. ``limit_s``: longest
        silence, in seconds. ``environment``: its environment; ``None``: this one.
        """
        self.side, self.log, self._limit_s = side, log, limit_s
        python = Path(sys.executable) if environment is None else environment.python
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                [str(python), "-P", "-m", "turbo_lab.upgrade.probe"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
                encoding="utf-8",
                errors="replace",
                env=_variables(environment is None),
                start_new_session=True,  # so that everything that it starts can be ended
            )
        self._lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, name=f"probe of {side}", daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def __enter__(self) -> RemoteProbe:
        """Return the probe."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the process, with everything that it started."""
        self.close()

    def close(self) -> None:
        """End the process, with everything that it started."""
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with suppress(OSError):
                pipe.close()

    @property
    def is_alive(self) -> bool:
        """``True`` while the process can answer."""
        return self._process.poll() is None

    def tell(self, ask: str, what: str, **values: object) -> None:
        """Send a request. ``what``: the request in words, after "could not"."""
        assert self._process.stdin is not None
        self._what = what
        # If the process has ended, the answer to read says so, with the reason.
        with suppress(BrokenPipeError, ValueError):
            self._process.stdin.write(json.dumps({"ask": ask, **values}) + "\n")
            self._process.stdin.flush()

    def hear(self, cls: type[T]) -> T:
        """Return the answer to the last request. Raises :class:`ProbeError`."""
        while True:
            try:
                line = self._lines.get(timeout=self._limit_s)
            except queue.Empty:
                self.close()
                limit = duration(self._limit_s)
                raise self._failed(f"it was silent for {limit} (--timeout) and was ended") from None
            if line is None:
                self._lines.put(None)  # for the next one who asks
                raise self._failed(self._end())
            found: Mapping[str, Any] = json.loads(line)
            if "error" in found:
                raise self._failed(str(found["error"]))
            if "answer" in found:
                return read_typed(cls, found["answer"])

    def ask(self, cls: type[T], ask: str, what: str, **values: object) -> T:
        """Send a request and return its answer. Raises :class:`ProbeError`."""
        self.tell(ask, what, **values)
        return self.hear(cls)

    def _failed(self, why: str) -> ProbeError:
        return ProbeError(self.side, self._what, why)

    def _end(self) -> str:
        """Return how the process ended, with the last line that it printed."""
        code = self._process.wait()
        how = f"with exit code {code}"
        if code < 0:
            how = f"by signal {signal.Signals(-code).name}"
        lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return f"its process ended {how}" + (f"; {redact(lines[-1])[:200]}" if lines else "")


def _variables(is_here: bool) -> dict[str, str]:
    """Return the environment variables of a probe.

    A candidate has no ``PYTHONPATH``: it would come before the candidate's own packages. Its
    folders follow them instead.
    """
    given = os.environ.get("PYTHONPATH", "")
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if is_here:
        variables["PYTHONPATH"] = os.pathsep.join([*filter(None, [given]), str(OWN_FOLDER)])
    return variables
