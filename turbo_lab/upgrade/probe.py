"""The process that draws and times in an environment, at the request of another process.

``python -P -m turbo_lab.upgrade.probe`` reads requests from standard input and writes answers to
standard output; see :mod:`turbo_lab.upgrade.messages`. It lives until its input ends, so that
weights stay resident between blocks of timed calls. The same module runs on both sides.
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name

from turbo_lab.errors import MissingFilesError, TurboLabError
from turbo_lab.untrusted.redaction import redact
from turbo_lab.untrusted.typed_json import to_plain
from turbo_lab.upgrade.messages import (
    Described,
    DrawnCase,
    DrawnCases,
    DrawnSweep,
    TimedBlock,
    WarmedUp,
)

if TYPE_CHECKING:
    from turbo_lab.golden.fresh_process import Stages
    from turbo_lab.golden.run_case import Case, CaseRunner, Substitute
    from turbo_lab.planning.resolved_sweep import ResolvedSweep
    from turbo_lab.runtime.paired_timing import LocalSide

LIBRARIES = ("torch", "diffusers", "transformers", "peft")
"""Libraries that draw: a candidate in which one of them cannot be imported draws nothing."""


class Probe:
    """Answers requests one after the other."""

    def __init__(self, beat: Callable[[], None]) -> None:
        """``beat``: called whenever a part of the work is done."""
        self._beat = beat
        self._side: LocalSide | None = None
        self._sweep: ResolvedSweep | None = None

    def describe(self) -> Described:
        """Import the libraries that draw, and return what this process imports."""
        modules = {name: str(importlib.import_module(name).__file__) for name in LIBRARIES}
        versions: dict[str, str] = {}
        folders: dict[str, str] = {}
        sources: dict[str, str] = {}
        for one in metadata.distributions():
            name = canonicalize_name(one.metadata["Name"] or "")
            if name and name not in versions:
                versions[name] = one.version
                folders[name] = str(one.locate_file(""))
                if found := _source(one):
                    sources[name] = found
        return Described(platform.python_version(), versions, folders, sources, modules)

    def draw(
        self, cases: Mapping[str, Sequence[str]], file: str, fed: str | None = None
    ) -> DrawnCases:
        """Draw golden cases, given as name to overrides, and write their stages to a file.

        ``fed``: file of stages that replace this process's own ones as they come, by case.
        """
        from turbo_lab.golden.fresh_process import read_stages, write_stages
        from turbo_lab.golden.run_case import CaseRunner

        given = {} if fed is None else read_stages(Path(fed))
        drawn: dict[str, Stages] = {}
        resolved = {name: _resolved(name, words) for name, words in cases.items()}
        ready = [case for case in resolved.values() if not isinstance(case, DrawnCase)]
        runner = CaseRunner(ready) if ready else None
        found = []
        for case in resolved.values():
            if not isinstance(case, DrawnCase):
                assert runner is not None
                case, stages = _drawn(runner, case, given.get(case.name))
                if stages is not None:
                    drawn[case.name] = stages
            found.append(case)
            self._beat()
        write_stages(Path(file), drawn)
        return DrawnCases(tuple(found))

    def sweep(self, words: Sequence[str], store: str | None) -> DrawnSweep:
        """Draw the cell that the words name; ``store``: folder of results, if not the sweep's."""
        from turbo_lab.planning.resolved_sweep import measuring, with_store
        from turbo_lab.workflows.sweep import run_sweep

        found = measuring(self._resolve(words))
        sweep = found if store is None else with_store(found, Path(store))
        record = run_sweep(sweep, _Beats(self._beat)).record
        if record.error is not None:
            raise TurboLabError(record.error)
        return DrawnSweep(record.record_id)

    def warm_up(self, words: Sequence[str], rule: str) -> WarmedUp:
        """Load the cell that the words name and call it until it is stable by the rule."""
        from turbo_lab.execute.worker import worker_for
        from turbo_lab.runtime.paired_timing import LocalSide
        from turbo_lab.runtime.timing import no_garbage_collection, timing_rule

        sweep = self._resolve(words)
        worker, cell = worker_for(sweep), sweep.cells[0]
        worker.prepare(cell.recipe)
        self._beat()
        call = worker.timed_call(cell).within(worker.thread_count)
        self._side = LocalSide(call, sweep.device)
        with no_garbage_collection(2):
            return WarmedUp(tuple(self._side.warm_up(timing_rule(rule))))

    def block(self, calls: int) -> TimedBlock:
        """Time a block of calls."""
        from turbo_lab.runtime.timing import no_garbage_collection

        assert self._side is not None, "warm_up comes first"
        with no_garbage_collection(0):
            return TimedBlock(self._side.mean_s(calls))

    def _resolve(self, words: Sequence[str]) -> ResolvedSweep:
        from turbo_lab import config
        from turbo_lab.compare.sides import require_one_cell
        from turbo_lab.planning.resolved_sweep import resolve_points

        if self._sweep is None:
            points = config.compose("gate", words)
            self._sweep = require_one_cell("upgrade", "pipeline", resolve_points(points))
        return self._sweep


class _Beats:
    """Progress of a sweep that shows the other side that this one is alive."""

    def __init__(self, beat: Callable[[], None]) -> None:
        self._beat = beat

    def begin(self, images: int) -> None:
        """Report that work begins."""
        self._beat()

    def advance(self, images: int) -> None:
        """Report that images are committed."""
        self._beat()

    def note(self, text: str) -> None:
        """Write a line to the log."""
        print(text, file=sys.stderr)


def _source(one: metadata.Distribution) -> str | None:
    """Return the address that a package was installed from; ``None``: an index."""
    text = one.read_text("direct_url.json")
    if not text:
        return None
    about = json.loads(text)
    commit = about.get("vcs_info", {}).get("commit_id")
    address = redact(str(about["url"]))
    return f"git+{address}@{commit}" if commit else address


def _resolved(name: str, words: Sequence[str]) -> Case | DrawnCase:
    from turbo_lab.golden.run_case import resolve_case

    try:
        return resolve_case(name, words)
    except TurboLabError as error:
        is_missing = isinstance(error, MissingFilesError)
        return DrawnCase(name, error=str(error), is_missing=is_missing)


def _drawn(runner: CaseRunner, case: Case, given: Stages | None) -> tuple[DrawnCase, Stages | None]:
    """Draw one case; any exception becomes its error, so that the others are still drawn."""
    fingerprint, error, stages = case.sweep.fingerprint, None, None
    try:
        stages = runner.run(case, None if given is None else _substitute(given)).stages
    except Exception as failure:  # noqa: BLE001 - a new library may raise anything
        traceback.print_exc()
        error = _one_line(failure)
    found = DrawnCase(
        case.name,
        case.cell.cell_id,
        error,
        keys=fingerprint.keys,
        options=fingerprint.options,
    )
    return found, stages


def _substitute(given: Stages) -> Substitute:
    """Return a function that replaces each stage's tensor by the given one of its shape."""
    values = {one.stage: one.values for one in given}

    def substitute(stage: str, tensor: Any) -> Any:
        kept = values.get(stage)
        if kept is None or kept.shape != tuple(tensor.shape):
            return tensor
        return tensor.new_tensor(kept.copy()).to(tensor.dtype)

    return substitute


def _one_line(error: BaseException) -> str:
    """Return an exception as at most 300 characters, with its class if it is not one of ours."""
    text = str(error) if isinstance(error, TurboLabError) else f"{type(error).__name__}: {error}"
    return redact(" ".join(text.split()))[:300]


def main() -> None:
    """Answer requests until the input ends."""
    # The pipe is kept apart: what libraries print must not be taken for an answer.
    pipe = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def send(values: Mapping[str, object]) -> None:
        pipe.write(json.dumps(values) + "\n")
        pipe.flush()

    probe = Probe(lambda: send({"beat": True}))
    asks = {
        name: getattr(probe, name) for name in ("describe", "draw", "sweep", "warm_up", "block")
    }
    for line in sys.stdin:
        request = json.loads(line)
        try:
            send({"answer": to_plain(asks[request.pop("ask")](**request))})
        except Exception as error:  # noqa: BLE001 - a new library may raise anything
            traceback.print_exc()
            send({"error": _one_line(error)})


if __name__ == "__main__":
    main()
