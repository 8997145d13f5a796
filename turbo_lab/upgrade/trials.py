"""Trials of a bisection: what each version draws, and whether it is as the reference.

Owns the tests. A version is drawn once, in an environment of that version, and its evidence is
kept; a comparison of two versions then needs neither of them again, unless it is of their speed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from turbo_lab.compare.baseline import Baseline
from turbo_lab.documents.upgrade import UpgradeCase
from turbo_lab.errors import JudgementError, StoreError, TurboLabError
from turbo_lab.gate import checks
from turbo_lab.gate.policy import Policy
from turbo_lab.gate.run_checks import quality_checks
from turbo_lab.planning.resolved_sweep import ResolvedSweep
from turbo_lab.progress import StderrProgress, waiting
from turbo_lab.upgrade.environments import (
    Environment,
    make_environment,
    resolve_candidate,
)
from turbo_lab.upgrade.evidence import Evidence, EvidenceFolder
from turbo_lab.upgrade.goldens import compare_cases
from turbo_lab.upgrade.installer import Installer, MachineError, Resolved
from turbo_lab.upgrade.messages import Described, DrawnCases
from turbo_lab.upgrade.packages import check_imports
from turbo_lab.upgrade.remote import ProbeError, RemoteProbe
from turbo_lab.upgrade.requirements import Wanted
from turbo_lab.upgrade.search import Outcome
from turbo_lab.upgrade.steps import draw_cases, draw_images, policy_cases, time_probes
from turbo_lab.upgrade.subjects import Subject
from turbo_lab.verdict import Verdict

TESTS = ("bits", "golden", "crash", "latency")
"""Tests that are not a metric."""


@dataclass(frozen=True)
class BisectInputs:
    """Everything that a bisection needs, checked before the first environment is made."""

    range: str
    """The range in the words of the command line."""
    subjects: tuple[Subject, ...]
    """Versions, the oldest first."""
    test: str
    """One of :data:`TESTS`, or a metric of the policy."""
    policy: Policy
    """Golden cases and margins."""
    sweep: ResolvedSweep
    """The pipeline's one cell."""
    words: tuple[str, ...]
    """KEY=VALUE words that it was composed from."""
    installer: Installer
    """Program that makes the environments."""
    folder: EvidenceFolder
    """Evidence of this search, of an interrupted run too."""
    limit_s: float
    """Longest silence of a process, in seconds."""
    is_pre: bool = False
    """``True`` if versions before their release are allowed."""
    finds_all: bool = False
    """``True``: find further changes after the first one."""


class Trials:
    """The trials of one search."""

    def __init__(self, inputs: BisectInputs) -> None:
        self.inputs = inputs
        self.by_case = {} if inputs.test == "latency" else policy_cases(inputs.policy)
        self.outcomes: dict[tuple[str, str], tuple[Outcome, str]] = {}
        self.say = StderrProgress().say

    def evidence(self, label: str, wanted: Callable[[], Sequence[Wanted]]) -> Evidence:
        """Return what a version draws; draw it unless the folder has it."""
        folder = self.inputs.folder
        found = folder.read(label)
        if found is None:
            folder.write(label, lambda stages: self._drawn(label, wanted(), stages))
            found = folder.read(label)
        assert found is not None
        return found

    def at(self, place: int) -> Evidence:
        """Return the evidence of a place in the list."""
        subject = self.inputs.subjects[place]
        return self.evidence(subject.label, lambda: [subject.wanted()])

    def _drawn(
        self, label: str, wanted: Sequence[Wanted], stages: Path
    ) -> tuple[Evidence, Baseline | None]:
        """Make the environment of a version and draw in it."""
        inputs, name = self.inputs, self.inputs.subjects[0].name
        packages: tuple[Resolved, ...] = ()
        try:
            environment = self._environment(wanted)
            packages = environment.packages if environment else ()
        except MachineError:
            raise
        except TurboLabError as error:
            return Evidence(label, packages, skip=f"cannot be installed: {error}"), None
        log = inputs.folder.root / f"{label}.log"
        found = Evidence(label, packages)
        with RemoteProbe(f"{name} {label}", log, inputs.limit_s, environment) as probe:
            try:
                self._describe(probe, environment)
                if inputs.test == "latency":
                    return found, None
                drawn, _ = draw_cases(probe, self.by_case, list(self.by_case), stages)
                measured = None
                if inputs.test in inputs.policy.quality:
                    store = inputs.folder.root / "stores" / label
                    metrics = (inputs.test,)
                    measured = draw_images(probe, inputs.sweep, inputs.words, metrics, store)
                return replace(found, drawn=drawn, failure=_draws_nothing(drawn)), measured
            except ProbeError as error:
                return replace(found, failure=str(error)), None
            except (JudgementError, StoreError) as error:  # nothing that the version did
                return replace(found, skip=str(error)), None

    def _environment(self, wanted: Sequence[Wanted]) -> Environment | None:
        """Return the environment of requirements; ``None``: they are what is installed here."""
        inputs = self.inputs
        candidate = resolve_candidate(wanted, inputs.installer, inputs.is_pre)
        return make_environment(candidate, inputs.installer) if candidate.packages else None

    def _describe(self, probe: RemoteProbe, environment: Environment | None) -> None:
        with waiting(f"{probe.side}: importing the libraries"):
            described = probe.ask(Described, "describe", "import its libraries")
        if environment is not None:
            check_imports(environment, described, None)

    def outcome(self, found: Evidence, reference: Evidence) -> tuple[Outcome, str]:
        """Return the outcome of the test on a version, against the reference, in words."""
        key = (found.version, reference.version)
        if key not in self.outcomes:
            self.outcomes[key] = self._tested(found, reference)
            self.say(f"{found.version}: {self.outcomes[key][0]} ({self.outcomes[key][1]})")
        return self.outcomes[key]

    def _tested(self, found: Evidence, reference: Evidence) -> tuple[Outcome, str]:
        test = self.inputs.test
        if found.skip is not None:
            return Outcome.SKIPPED, found.skip
        if test == "crash":
            is_changed = found.failure is not None
            return _outcome(is_changed), found.failure or "imports and draws"
        if found.failure is not None:
            return Outcome.SKIPPED, found.failure
        if found.version == reference.version and test != "golden":
            return Outcome.SAME, "the reference"
        if test == "latency":
            return self._timed(found, reference)
        if test in self.inputs.policy.quality:
            return self._measured(found, reference)
        cases = self.compared(found, reference)
        if test == "golden":
            bad = [one.name for one in cases if one.golden != Verdict.PASS]
            return _outcome(bool(bad)), f"{len(cases) - len(bad)} of {len(cases)} goldens pass"
        same = sum(one.identical for one in cases)
        first = next((one.first_difference for one in cases if one.first_difference), None)
        at = "" if first is None else f", first at {first.stage}"
        note = f"{same} of {len(cases)} identical to the bit{at}"
        return _outcome(same < len(cases)), note

    def compared(self, found: Evidence, reference: Evidence) -> list[UpgradeCase]:
        """Return the golden cases of a version, compared with those of the reference."""
        folder = self.inputs.folder
        cases = compare_cases(self.by_case, folder.runs(reference), folder.runs(found))
        return list(cases.values())

    def _measured(self, found: Evidence, reference: Evidence) -> tuple[Outcome, str]:
        folder, test = self.inputs.folder, self.inputs.test
        policy = replace(self.inputs.policy, quality={test: self.inputs.policy.quality[test]})
        there, here = folder.metrics(found.version), folder.metrics(reference.version)
        (row,) = quality_checks(policy, there, here)
        note = f"{test} {row.value or 0:.4g}, the reference's {row.baseline or 0:.4g}"
        return _outcome(row.verdict == Verdict.REGRESSION), note

    def _timed(self, found: Evidence, reference: Evidence) -> tuple[Outcome, str]:
        """Time two versions, each in its own process."""
        inputs, root = self.inputs, self.inputs.folder.root
        margin = inputs.policy.latency
        assert margin is not None  # checked with the inputs
        environments = [
            self._environment([self._subject(one).wanted()]) for one in (reference, found)
        ]
        names = [f"{inputs.subjects[0].name} {one.version}" for one in (reference, found)]
        logs = [root / f"{one.version}.timing.log" for one in (reference, found)]
        with (
            RemoteProbe(names[0], logs[0], inputs.limit_s, environments[0]) as first,
            RemoteProbe(names[1], logs[1], inputs.limit_s, environments[1]) as second,
        ):
            timed = time_probes(first, second, inputs.sweep, inputs.words)
        row = checks.ratio_check("latency", timed.blocks_b_s, timed.blocks_a_s, margin=margin)
        low, high = timed.ci95
        note = f"ratio {timed.ratio:.3f} (95%: {low:.3f} to {high:.3f})"
        return _outcome(row.verdict == Verdict.REGRESSION), note

    def _subject(self, found: Evidence) -> Subject:
        return next(one for one in self.inputs.subjects if one.label == found.version)


def _draws_nothing(drawn: DrawnCases) -> str | None:
    """Return why a version draws no case at all; ``None`` if it draws one."""
    errors = [one.error for one in drawn.cases if one.error is not None]
    return f"draws no golden case: {errors[0]}" if len(errors) == len(drawn.cases) else None


def _outcome(is_changed: bool) -> Outcome:
    return Outcome.CHANGED if is_changed else Outcome.SAME
