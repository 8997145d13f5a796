"""Requests of an upgrade and a bisection to a probe: golden cases, images, timed blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from turbo_lab.compare.baseline import Baseline, baseline_from
from turbo_lab.errors import StoreError
from turbo_lab.gate.policy import Policy
from turbo_lab.golden.library import GoldenLibrary, library_by_case, open_libraries
from turbo_lab.planning.resolved_sweep import ResolvedSweep, measuring
from turbo_lab.progress import waiting
from turbo_lab.runtime.paired_timing import Block, PairedTiming, compare_sides
from turbo_lab.runtime.timing import TimingRule, timing_rule
from turbo_lab.store.store import Store
from turbo_lab.upgrade.goldens import Run, read_runs
from turbo_lab.upgrade.messages import DrawnCases, DrawnSweep, TimedBlock, WarmedUp
from turbo_lab.upgrade.remote import RemoteProbe
from turbo_lab.workflows import results
from turbo_lab.workflows.settings import resolve_metric_context


def policy_cases(policy: Policy) -> dict[str, GoldenLibrary]:
    """Return the golden cases that a policy checks, each with its library."""
    by_case = library_by_case(open_libraries())
    return {name: by_case[name] for name in policy.goldens or by_case}


def draw_cases(
    probe: RemoteProbe,
    by_case: Mapping[str, GoldenLibrary],
    names: Sequence[str],
    file: Path,
    fed: Path | None = None,
) -> tuple[DrawnCases, dict[str, Run]]:
    """Draw golden cases into a file of stages; return the answer, and the run of each case.

    ``fed``: file of stages that replace the process's own ones.
    """
    words = {name: list(by_case[name].cases()[name]) for name in names}
    again = "" if fed is None else " again, stage by stage"
    with waiting(f"{probe.side}: drawing {len(words)} golden cases{again}"):
        drawn = probe.ask(
            DrawnCases,
            "draw",
            "draw the golden cases",
            cases=words,
            file=str(file),
            fed=None if fed is None else str(fed),
        )
    return drawn, read_runs(drawn, file)


def draw_images(
    probe: RemoteProbe,
    sweep: ResolvedSweep,
    words: Sequence[str],
    metrics: Sequence[str],
    store: Path | None,
) -> Baseline:
    """Draw the sweep's images in a process, and measure them in this one.

    ``store``: folder of results; ``None``: that of the sweep, whose images are reused.
    """
    with waiting(f"{probe.side}: drawing {sweep.cells[0].num_images} images"):
        drawn = probe.ask(
            DrawnSweep,
            "sweep",
            "draw the images",
            words=words,
            store=None if store is None else str(store),
        )
    found = Store(store or sweep.options.store)
    record = found.read_record(drawn.record_id)
    if record is None:
        raise StoreError(f"{found.root}: {drawn.record_id[:12]} is gone; run the command again")
    context = resolve_metric_context(measuring(sweep, metrics))
    assert context is not None, "without metrics, no images are needed"
    measured = results.measure_cells([record], metrics, context, found)
    return baseline_from(probe.side, found, record, measured[record.record_id])


def time_probes(
    first: RemoteProbe, second: RemoteProbe, sweep: ResolvedSweep, words: Sequence[str]
) -> PairedTiming:
    """Time the sweep's first batch in two processes, their blocks interleaved."""
    sides = (_RemoteSide(first, words), _RemoteSide(second, words))
    return compare_sides(sides, timing_rule(sweep.options.timed()))


class _RemoteSide:
    """A side that is timed in its own process."""

    def __init__(self, probe: RemoteProbe, words: Sequence[str]) -> None:
        self._probe, self._words = probe, words

    def warm_up(self, rule: TimingRule) -> list[str]:
        """Load the pipeline and call it by the rule."""
        found = self._probe.ask(
            WarmedUp, "warm_up", "warm up for the timing", words=self._words, rule=rule.name
        )
        return list(found.warnings)

    def mean_s(self, calls: int) -> float:
        """Return the mean seconds of ``calls`` calls."""
        return self._probe.ask(TimedBlock, "block", "be timed", calls=calls).mean_s

    def measure(self, calls: int) -> Block:
        """Return a block of ``calls`` calls; energy is not measured across processes."""
        return Block(self.mean_s(calls), energy=None, method="counter")
