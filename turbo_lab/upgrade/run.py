"""Run an upgrade: both environments draw and are timed, and one verdict comes of it.

Owns the order of the steps and their rule on failures: a step that a process cannot answer is an
``error``, never a regression, and the steps that can still be made are made.
"""

from __future__ import annotations

import datetime
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from turbo_lab.compare.latency import pair_result
from turbo_lab.documents.gate import CheckResult, IdenticalImages
from turbo_lab.documents.timing import PairResult
from turbo_lab.documents.upgrade import UpgradeCase, UpgradeReport
from turbo_lab.errors import JudgementError, StoreError
from turbo_lab.gate import checks
from turbo_lab.gate.policy import Policy
from turbo_lab.gate.run_checks import quality_checks
from turbo_lab.golden.library import GoldenLibrary
from turbo_lab.planning.resolved_sweep import ResolvedSweep
from turbo_lab.progress import waiting
from turbo_lab.runtime.paired_timing import PairedTiming
from turbo_lab.untrusted.paths import write_whole
from turbo_lab.upgrade.environments import Environment
from turbo_lab.upgrade.goldens import (
    compare_cases,
    differing,
    stage_changes,
    with_causes,
)
from turbo_lab.upgrade.messages import Described
from turbo_lab.upgrade.packages import check_imports, lock_text, package_changes
from turbo_lab.upgrade.remote import RemoteProbe
from turbo_lab.upgrade.requirements import Wanted
from turbo_lab.upgrade.steps import draw_cases, draw_images, policy_cases, time_probes
from turbo_lab.verdict import Verdict, worst

HERE, THERE = "this environment", "the candidate"
_LOCK, _STORE = "lock.txt", "store"
_MOST_NAMED = 3  # cases in the note of the check; the page lists all of them


@dataclass(frozen=True)
class UpgradeInputs:
    """Everything that an upgrade compares, resolved before any process starts."""

    wanted: tuple[Wanted, ...]
    """Packages that were asked for."""
    environment: Environment
    """The candidate's environment."""
    policy: Policy
    """Checks and margins."""
    sweep: ResolvedSweep
    """The pipeline's one cell, as this environment resolves it."""
    words: tuple[str, ...]
    """KEY=VALUE words that it was composed from."""
    output: Path
    """Folder of the verdict."""
    limit_s: float
    """Longest silence of a process, in seconds."""


@dataclass
class _Found:
    """Results of the steps so far."""

    rows: list[CheckResult] = field(default_factory=list)
    cases: tuple[UpgradeCase, ...] = ()
    identical: IdenticalImages | None = None
    timing: PairResult | None = None
    described: Described | None = None
    steps_s: dict[str, float] = field(default_factory=dict)


class _Upgrade:
    """The two processes, and the steps that ask them."""

    def __init__(self, inputs: UpgradeInputs, here: RemoteProbe, there: RemoteProbe) -> None:
        self.inputs, self.here, self.there = inputs, here, there
        self.found = _Found()

    def run(self) -> _Found:
        """Make the steps, each unless a process that it needs has ended."""
        steps: list[tuple[str, Callable[[], Sequence[CheckResult]]]] = [("environment", self.start)]
        policy = self.inputs.policy
        if policy.goldens is not None:
            steps.append(("goldens", self.goldens))
        if policy.quality:
            steps.append(("quality", self.quality))
        if self.inputs.sweep.options.timing is not None:
            steps.append(("latency", self.latency))
        for name, step in steps:
            began = time.perf_counter()
            try:
                self.found.rows += step()
            except (JudgementError, StoreError) as error:
                self.found.rows.append(CheckResult.without_value(name, Verdict.ERROR, str(error)))
                if name == "environment" or not (self.here.is_alive and self.there.is_alive):
                    break
            finally:
                self.found.steps_s[name] = time.perf_counter() - began
        return self.found

    def start(self) -> Sequence[CheckResult]:
        """Import the libraries on both sides, and check that they are the ones resolved."""
        with waiting("importing the libraries of both environments"):
            for probe in (self.there, self.here):
                probe.tell("describe", "import its libraries")
            self.found.described = self.there.hear(Described)
            here = self.here.hear(Described)
        check_imports(self.inputs.environment, self.found.described, here)
        return ()

    def goldens(self) -> Sequence[CheckResult]:
        """Draw the golden cases on both sides and compare every stage."""
        by_case = policy_cases(self.inputs.policy)
        with tempfile.TemporaryDirectory(prefix="turbo-lab-upgrade-") as folder:
            self.found.cases = tuple(self._compare_cases(by_case, Path(folder)))
        return [golden_row(self.found.cases, self.inputs.policy.min_goldens)]

    def _compare_cases(
        self, by_case: Mapping[str, GoldenLibrary], folder: Path
    ) -> list[UpgradeCase]:
        names, kept = list(by_case), folder / "here.safetensors"
        _, here = draw_cases(self.here, by_case, names, kept)
        _, there = draw_cases(self.there, by_case, names, folder / "there.safetensors")
        compared = compare_cases(by_case, here, there)
        if changed := differing(compared):
            fed = folder / "fed.safetensors"
            _, runs = draw_cases(self.there, by_case, changed, fed, kept)
            for name in changed:
                compared[name] = with_causes(compared[name], here[name], runs[name])
        return list(compared.values())

    def quality(self) -> Sequence[CheckResult]:
        """Draw the images on both sides, and measure all of them in this process."""
        inputs, names = self.inputs, tuple(self.inputs.policy.quality)
        store = inputs.output / _STORE
        shutil.rmtree(store, ignore_errors=True)  # of an earlier candidate
        here = draw_images(self.here, inputs.sweep, inputs.words, names, store=None)
        there = draw_images(self.there, inputs.sweep, inputs.words, names, store=store)
        pixels = dict(zip(here.keys, here.pixel_sha256, strict=True))
        same = sum(
            pixels.get(key) == pixel
            for key, pixel in zip(there.keys, there.pixel_sha256, strict=True)
        )
        self.found.identical = IdenticalImages(same=same, of=len(there.keys))
        return quality_checks(inputs.policy, there, here)

    def latency(self) -> Sequence[CheckResult]:
        """Time both sides in turn, each in its own process."""
        policy = self.inputs.policy
        row = None
        for attempt in range(policy.retries + 1):
            timed = time_probes(self.here, self.there, self.inputs.sweep, self.inputs.words)
            self.found.timing = self._pair(timed)
            if policy.latency is None:
                return ()
            repeated = [f"repeated; attempt {attempt + 1} counts"] if attempt else []
            row = checks.ratio_check(
                "latency",
                timed.blocks_b_s,
                timed.blocks_a_s,
                margin=policy.latency,
                note="; ".join([*repeated, *timed.warnings]) or None,
            )
            if row.verdict == Verdict.PASS:
                break
        assert row is not None
        return [row]

    def _pair(self, timed: PairedTiming) -> PairResult:
        images = len(self.inputs.sweep.cells[0].batches[0].layout.seeds)
        asked = [one.shown for one in self.inputs.wanted]
        words = self.inputs.words
        return pair_result(timed, (images, images), words, candidate_words=[*asked, *words])


def run_upgrade(inputs: UpgradeInputs, began: float) -> UpgradeReport:
    """Compare the candidate with this environment; ``began``: on the clock of ``perf_counter``."""
    with _probes(inputs) as (here, there):
        found = _Upgrade(inputs, here, there).run()
    if not found.rows:
        note = "the policy has no goldens, no quality and no latency to check"
        found.rows.append(CheckResult.without_value("checks", Verdict.UNCOVERED, note))
    verdict, rows = checks.decide(found.rows)
    lock = inputs.output / _LOCK
    if found.described is not None:
        write_whole(lock, lock_text(found.described).encode())
    policy = inputs.policy
    return UpgradeReport(
        verdict=verdict,
        gate=policy.name,
        requirements=tuple(one.shown for one in inputs.wanted),
        words=inputs.words,
        packages=package_changes(inputs.wanted, inputs.environment),
        checks=tuple(rows),
        cases=found.cases,
        stages=stage_changes(found.cases),
        identical_images=found.identical,
        timing=found.timing,
        notes=tuple(_notes(policy)),
        environment=inputs.environment.root,
        made_s=inputs.environment.made_s,
        lock=lock,
        python=found.described.python if found.described else "",
        wall_s=time.perf_counter() - began,
        steps_s=found.steps_s,
        date=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )


@contextmanager
def _probes(inputs: UpgradeInputs) -> Iterator[tuple[RemoteProbe, RemoteProbe]]:
    """Start the process of each side, and end both at last."""
    logs = inputs.output
    with (
        RemoteProbe(HERE, logs / "here.log", inputs.limit_s) as here,
        RemoteProbe(THERE, logs / "candidate.log", inputs.limit_s, inputs.environment) as there,
    ):
        yield here, there


def golden_row(cases: Sequence[UpgradeCase], min_cases: int) -> CheckResult:
    """Return the check of the golden cases: the worst of them, and how many kept their bits."""
    covered = [one for one in cases if one.verdict in (Verdict.PASS, Verdict.REGRESSION)]
    verdict = worst(one.verdict for one in cases)
    same = sum(one.identical for one in cases)
    notes = [f"{same} of {len(cases)} identical to the bit"]
    if len(covered) < min_cases:
        verdict = worst([verdict, Verdict.UNCOVERED])
        notes.append(f"{len(covered)} cases covered, {min_cases} required")
    failed = [one for one in cases if one.verdict != Verdict.PASS]
    for one in failed[:_MOST_NAMED]:
        first = one.first_difference
        at = "" if first is None else f", first at {first.stage}"
        notes.append(f"{one.name}: {one.verdict}{at} ({one.message})")
    if len(failed) > _MOST_NAMED:
        notes.append(f"and {len(failed) - _MOST_NAMED} more")
    return CheckResult.without_value("goldens", verdict, "; ".join(notes), len(covered))


def _notes(policy: Policy) -> Iterator[str]:
    """Yield what the policy asks for and an upgrade does not check."""
    asked = {
        "coverage": bool(policy.coverage),
        "invariance": policy.invariance is not None,
        "mutation": policy.mutation is not None,
        "frechet": policy.frechet is not None,
        "memory": policy.memory is not None,
        "energy": policy.energy is not None,
    }
    if left_out := [name for name, is_asked in asked.items() if is_asked]:
        yield (
            f"not checked here: {', '.join(left_out)}; run turbo-lab gate in the candidate's "
            "environment"
        )
