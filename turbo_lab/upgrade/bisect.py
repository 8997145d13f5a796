"""Find the version that changed something, and what changed with it.

Owns the reference, the report, and whether the package itself or one that came with it is the
cause. The order of the trials is that of :mod:`turbo_lab.upgrade.search`.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Sequence

from turbo_lab.documents.upgrade import (
    BisectChange,
    BisectReport,
    BisectVersion,
    PackageChange,
    StageChange,
)
from turbo_lab.upgrade.environments import installed_versions
from turbo_lab.upgrade.evidence import Evidence
from turbo_lab.upgrade.goldens import stage_changes
from turbo_lab.upgrade.installer import Resolved
from turbo_lab.upgrade.requirements import parse_requirement
from turbo_lab.upgrade.search import Change, Outcome, Test, find_changes
from turbo_lab.upgrade.trials import BisectInputs, Trials

_PINNED = "+kept"  # after the label of a version that runs with the other packages as they were


class _Bisection:
    """One search, with its trials."""

    def __init__(self, inputs: BisectInputs) -> None:
        self.inputs, self.trials = inputs, Trials(inputs)
        self.tested: dict[int, tuple[Outcome, str]] = {}

    def test_from(self, first: int) -> Test:
        """Return the test of a place against another one."""

        def test(place: int) -> Outcome:
            found = self.trials.outcome(self.trials.at(place), self.trials.at(first))
            self.tested.setdefault(place, found)
            return found[0]

        return test

    def reference(self) -> tuple[int | None, bool]:
        """Return the first place that can be tested, and whether it is changed already."""
        for place in range(len(self.inputs.subjects)):
            found = self.trials.at(place)
            outcome, note = self.trials.outcome(found, found)
            self.tested[place] = (outcome, note)
            if outcome != Outcome.SKIPPED:
                return place, outcome == Outcome.CHANGED
        return None, False

    def changes(self, first: int) -> list[BisectChange]:
        """Return the first change, or all of them."""
        found = []
        # The list begins at the reference: what comes before it cannot be tested.
        for change in find_changes(len(self.inputs.subjects), self.test_from, first):
            found.append(self.described(change))
            if not self.inputs.finds_all:
                break
        return found

    def described(self, change: Change) -> BisectChange:
        """Return a change with its stages and the packages that came with it."""
        labels = [one.label for one in self.inputs.subjects]
        low, high = self.trials.at(change.last_same), self.trials.at(change.first_changed)
        others = self._others(low, high)
        stages = self._stages(low, high)
        return BisectChange(
            last_same=low.version,
            first_changed=high.version,
            skipped=tuple(labels[change.last_same + 1 : change.first_changed]),
            title=self.inputs.subjects[change.first_changed].title,
            note=self.trials.outcome(high, low)[1],
            first_stage=next((one.kind for one in stages if one.first_in), None),
            stages=stages,
            other_packages=others,
            cause=self._cause(change, low, high, others),
        )

    def _stages(self, low: Evidence, high: Evidence) -> tuple[StageChange, ...]:
        if low.drawn is None or high.drawn is None:
            return ()
        return stage_changes(self.trials.compared(high, low))

    def _others(self, low: Evidence, high: Evidence) -> tuple[PackageChange, ...]:
        """Return the packages that differ between two versions, other than the bisected one."""
        before, after = (self._versions(one.packages) for one in (low, high))
        name = self.inputs.subjects[0].name
        return tuple(
            PackageChange(one, before.get(one), after[one], is_asked=False)
            for one in sorted(after)
            if one != name and after[one] != before.get(one)
        )

    def _versions(self, packages: Sequence[Resolved]) -> dict[str, str]:
        changed = {one.name: one.version or "unknown" for one in packages}
        return installed_versions() | changed

    def _cause(
        self,
        change: Change,
        low: Evidence,
        high: Evidence,
        others: Sequence[PackageChange],
    ) -> str | None:
        """Return the package that is the cause, by a run with the other ones as they were."""
        subject = self.inputs.subjects[change.first_changed]
        if not others:
            return subject.name
        kept = [f"{one.name}=={one.here}" for one in others if one.here is not None]
        if not kept or self.inputs.test == "latency":
            return None
        pinned = self.trials.evidence(
            f"{subject.label}{_PINNED}",
            lambda: [subject.wanted(), *map(parse_requirement, kept)],
        )
        outcome, _ = self.trials.outcome(pinned, low)
        if outcome == Outcome.SKIPPED:
            return None
        names = ", ".join(one.name for one in others)
        return subject.name if outcome == Outcome.CHANGED else names

    def versions(self) -> tuple[BisectVersion, ...]:
        """Return every version with its outcome."""
        return tuple(self._version(place) for place in range(len(self.inputs.subjects)))

    def _version(self, place: int) -> BisectVersion:
        label = self.inputs.subjects[place].label
        if place not in self.tested:
            return BisectVersion(label, "untested", "")
        outcome, note = self.tested[place]
        here = installed_versions()
        packages = tuple(
            PackageChange(
                one.name,
                here.get(one.name),
                one.version or "unknown",
                is_asked=one.name == self.inputs.subjects[place].name,
                source=one.source,
            )
            for one in self.trials.at(place).packages
        )
        return BisectVersion(label, str(outcome), note, packages)


def run_bisect(inputs: BisectInputs, began: float) -> BisectReport:
    """Search the range; ``began``: on the clock of ``time.perf_counter``."""
    search = _Bisection(inputs)
    first, is_changed = search.reference()
    changes: list[BisectChange] = []
    if first is None:
        outcome = "untestable"
    elif is_changed:
        outcome = "changed from the start"
    else:
        changes = search.changes(first)
        outcome = "found" if changes else "no change"
    return BisectReport(
        outcome=outcome,
        range=inputs.range,
        test=inputs.test,
        words=inputs.words,
        reference=None if first is None else inputs.subjects[first].label,
        versions=search.versions(),
        changes=tuple(changes),
        environments_run=inputs.folder.versions(),
        wall_s=time.perf_counter() - began,
        date=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )
