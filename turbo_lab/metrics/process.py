"""A metric that a script in another interpreter computes, over a pipe.

Owns the processes of the scorers, which keep their model between cells, and the protocol: one JSON
object per line, a request on the script's standard input and its answer on its standard output.
A scorer that hangs, dies, writes anything else or leaves out a score is one error of its metric,
and its process is ended.
"""

from __future__ import annotations

import atexit
import json
import math
import os
import selectors
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from turbo_lab import images
from turbo_lab.analysis.stats import bootstrap_mean_ci
from turbo_lab.errors import JudgementError
from turbo_lab.metrics.clip_score import few_prompts_note
from turbo_lab.metrics.inputs import MetricInputs, Score
from turbo_lab.metrics.interpreter import ScorerProcess, own_environment
from turbo_lab.untrusted.printable import printable

_MAX_ANSWER_BYTES = 64 << 20
_CHUNK_BYTES = 1 << 16
# Time to end by itself after its input is closed, in seconds.
_ENDING_S = 5.0
_MAX_SHOWN = 120
# By metric and script.
_RUNNING: dict[tuple[str, ScorerProcess], Scorer] = {}


def compute(metric: str, process: ScorerProcess, inputs: MetricInputs) -> Score:
    """Return the mean of the scores that a script gives to the images.

    The interval resamples prompts, as for ``clip_score``; it is ``None`` below 8 prompts. Raises
    :class:`JudgementError` if the script does not answer with one finite number per image.
    """
    with _files_of(inputs) as paths:
        scores = _ask(metric, process, paths, inputs)
    values = np.array(scores, dtype=np.float64)
    ci95 = bootstrap_mean_ci(values, inputs.prompts)
    return Score(
        value=float(values.mean()),
        n=len(values),
        ci95=ci95,
        note=few_prompts_note(inputs.prompts) if ci95 is None else None,
        per_image=tuple(scores),
    )


def _ask(
    metric: str, process: ScorerProcess, paths: Sequence[Path], inputs: MetricInputs
) -> list[float]:
    """Send a request to the metric's process, which is started if it does not run."""
    rows = zip(paths, inputs.prompts, inputs.seeds, strict=True)
    request = [{"path": str(p), "prompt": prompt, "seed": seed} for p, prompt, seed in rows]
    key = (metric, process)
    scorer = _RUNNING.get(key)
    if scorer is None:
        scorer = _RUNNING[key] = Scorer(metric, process)
    try:
        return scorer.scores(request)
    except BaseException:  # also Ctrl-C: the answer would come when nobody reads it
        del _RUNNING[key]
        scorer.end(at_once=True)
        raise


@contextmanager
def _files_of(inputs: MetricInputs) -> Iterator[Sequence[Path]]:
    """Yield one PNG file per image: those of the store, else temporary ones."""
    if inputs.paths is not None:
        yield inputs.paths
        return
    with tempfile.TemporaryDirectory(prefix="turbo-lab-scorer-") as folder:
        paths = [Path(folder) / f"{index}.png" for index in range(len(inputs.prompts))]
        for path, pixels in zip(paths, inputs.pixels, strict=True):
            path.write_bytes(images.encode_png(pixels, {}))
        yield paths


class Scorer:
    """One running process."""

    def __init__(self, metric: str, process: ScorerProcess) -> None:
        """Start it. Raises as :meth:`ScorerProcess.files`, and ``JudgementError``."""
        python, script = process.files(metric)
        self._metric, self._timeout_s = metric, process.timeout_s
        self._numbers = count()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  (closed by end())
        try:
            self._process = subprocess.Popen(
                [str(python), str(script), *process.arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env=own_environment(),
            )
        except OSError as error:
            self._errors.close()
            raise JudgementError(f"{metric}: {python} cannot be run ({error.strerror})") from error
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            os.set_blocking(pipe.fileno(), False)

    def scores(self, request: Sequence[dict[str, object]]) -> list[float]:
        """Return one finite score per image. Raises :class:`JudgementError`."""
        number = next(self._numbers)
        text = json.dumps({"id": number, "metric": self._metric, "images": request})
        answer = self._exchange(text.encode() + b"\n")
        try:
            # Python's own reader takes NaN, for which there is a message below.
            values: Any = json.loads(answer)
        except (ValueError, RecursionError):
            values = None
        if not isinstance(values, dict) or values.get("id") != number or "scores" not in values:
            shown = printable(answer[:_MAX_SHOWN].decode(errors="replace").strip())
            raise self._error(
                f"answered {shown!r}; must be one JSON object with id and scores, and everything "
                "else must go to standard error"
            )
        return self._checked(values["scores"], len(request))

    def end(self, at_once: bool = False) -> None:
        """End the process: at once, or after it has seen the end of its input."""
        assert self._process.stdin is not None and self._process.stdout is not None
        if at_once:
            self._process.kill()
        self._process.stdin.close()
        try:
            self._process.wait(_ENDING_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._errors.close()

    def _checked(self, scores: object, num_images: int) -> list[float]:
        if not isinstance(scores, list) or len(scores) != num_images:
            found = f"{len(scores)} scores" if isinstance(scores, list) else "no list of scores"
            raise self._error(f"gave {found} for {num_images} images; must give one per image")
        for index, score in enumerate(scores):
            is_number = isinstance(score, (int, float)) and not isinstance(score, bool)
            if not is_number or not math.isfinite(score):
                raise self._error(
                    f"gave {printable(repr(score))[:_MAX_SHOWN]} for image {index + 1} of "
                    f"{num_images}; must be a finite number"
                )
        return [float(score) for score in scores]

    def _exchange(self, request: bytes) -> bytes:
        """Write a request and return the line that answers it, within the time limit."""
        writes, reads = self._process.stdin, self._process.stdout
        assert writes is not None and reads is not None
        deadline, answer = time.monotonic() + self._timeout_s, bytearray()
        with selectors.DefaultSelector() as pipes:
            pipes.register(writes, selectors.EVENT_WRITE)
            pipes.register(reads, selectors.EVENT_READ)
            while not answer.endswith(b"\n"):
                left_s = deadline - time.monotonic()
                ready = pipes.select(left_s) if left_s > 0 else []
                if not ready:
                    raise self._error(f"did not answer within {self._timeout_s:g} s")
                for key, _ in ready:
                    if key.fileobj is writes:
                        request = request[self._write(request) :]
                        if not request:
                            pipes.unregister(writes)
                    elif chunk := os.read(reads.fileno(), _CHUNK_BYTES):
                        answer += chunk
                    else:
                        raise self._ended()
                if len(answer) > _MAX_ANSWER_BYTES:
                    raise self._error("wrote more than 64 MiB without an end of the line")
        return bytes(answer)

    def _write(self, data: bytes) -> int:
        assert self._process.stdin is not None
        try:
            return os.write(self._process.stdin.fileno(), data[:_CHUNK_BYTES])
        except BrokenPipeError:
            raise self._ended() from None

    def _ended(self) -> JudgementError:
        """Return the error of a process that has gone, with the last line that it wrote."""
        try:
            code = self._process.wait(_ENDING_S)
        except subprocess.TimeoutExpired:
            return self._error("closed its output before it answered")
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        said = f": {printable(lines[-1].strip())[:_MAX_SHOWN]}" if lines else ""
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return self._error(f"{how} before it answered{said}")

    def _error(self, what: str) -> JudgementError:
        return JudgementError(f"{self._metric}: its process {what}")


@atexit.register
def end_scorers() -> None:
    """End all processes of scorers."""
    while _RUNNING:
        _RUNNING.popitem()[1].end()
