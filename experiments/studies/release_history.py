"""Compare every release of a package with the next one, as one Markdown table.

``python -m experiments.studies.release_history diffusers==0.30.0..0.42.1 num_threads=1``

Each release draws the golden cases once, in its own environment, as ``turbo-lab bisect`` does.
If it is interrupted, run the same command again and it resumes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from turbo_lab.api.upgrades import prepare_bisect
from turbo_lab.documents.upgrade import StageChange
from turbo_lab.upgrade.evidence import Evidence
from turbo_lab.upgrade.goldens import stage_changes
from turbo_lab.upgrade.search import Outcome
from turbo_lab.upgrade.trials import BisectInputs, Trials


def rows(inputs: BisectInputs) -> Iterator[str]:
    """Yield one row per release: against the last release before it that draws."""
    trials, before = Trials(inputs), None
    for place, subject in enumerate(inputs.subjects):
        found = trials.at(place)
        others = ", ".join(
            f"{one.name} {one.version}" for one in found.packages if one.name != subject.name
        )
        against, outcome, stages = _compared(trials, found, before)
        if found.skip is None and found.failure is None:
            before = found
        yield f"| {subject.label} | {others} | {against} | {outcome} | {stages} |"


def _compared(trials: Trials, found: Evidence, before: Evidence | None) -> tuple[str, str, str]:
    if (reason := found.skip or found.failure) is not None:
        return "", "cannot be tested", " ".join(reason.split())[:200]
    if before is None:
        return "", "the first that draws", ""
    outcome, note = trials.outcome(found, before)
    changed = stage_changes(trials.compared(found, before)) if outcome == Outcome.CHANGED else ()
    return before.version, note, "; ".join(map(_stage, filter(_differs, changed)))


def _differs(one: StageChange) -> bool:
    return one.cases > 0


def _stage(one: StageChange) -> str:
    size = "?" if one.relative_l2 is None else f"{one.relative_l2:.1e}"
    return f"{one.kind} in {one.cases} of {one.of}, up to {size}"


def main(words: Sequence[str]) -> None:
    """Print the table."""
    inputs = prepare_bisect(words, "bits", output=Path("upgrade") / "release-history")
    print("| release | packages that come with it | against | golden cases | stages |")
    print("| --- | --- | --- | --- | --- |")
    for row in rows(inputs):
        print(row, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
