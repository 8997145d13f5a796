"""A search whose evidence is in its folder already, as after an interruption at its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from turbo_lab.api.gates import compose_trial
from turbo_lab.golden.fresh_process import write_stages
from turbo_lab.golden.observation import Observation
from turbo_lab.upgrade.evidence import Evidence, EvidenceFolder
from turbo_lab.upgrade.installer import Pip, Resolved
from turbo_lab.upgrade.messages import DrawnCase, DrawnCases
from turbo_lab.upgrade.subjects import Subject
from turbo_lab.upgrade.trials import BisectInputs

CASE = "two-steps"
WORDS = ("gate=release", f"gate.goldens=[{CASE}]", "num_threads=1", "tracking=none")


@dataclass(frozen=True)
class Version:
    """What is known of one version."""

    changed: str | None = None
    """First stage that differs from the golden's run; ``None``: none does."""
    failure: str | None = None
    """Why it could not draw."""
    skip: str | None = None
    """Why it could not be installed."""
    others: Mapping[str, str] | None = None
    """Versions of other packages that it brings."""


def search(
    root: Path, seen: Observation, versions: Sequence[Version], test: str = "bits"
) -> BisectInputs:
    """Return the search for a change of ``lamp`` 1.0, 1.1, ... with all its evidence."""
    policy, sweep = compose_trial(WORDS)
    labels = [f"1.{at}" for at in range(len(versions))]
    folder = EvidenceFolder(root, {"versions": labels})
    for label, version in zip(labels, versions, strict=True):
        keep(folder, seen, label, version)
    return BisectInputs(
        f"lamp=={labels[0]}..{labels[-1]}",
        tuple(Subject("lamp", label) for label in labels),
        test,
        policy,
        sweep,
        WORDS,
        Pip(),
        folder,
        limit_s=60,
    )


def keep(folder: EvidenceFolder, seen: Observation, label: str, version: Version) -> None:
    """Keep the evidence of one version."""
    others = version.others or {}
    packages = (Resolved("lamp", label), *(Resolved(n, v) for n, v in others.items()))
    found = Evidence(label, packages, version.failure, version.skip)
    keys, options = seen.fingerprint.keys, seen.fingerprint.options
    drawn = DrawnCases((DrawnCase(CASE, seen.cell_id, keys=keys, options=options),))

    def make(stages: Path) -> tuple[Evidence, None]:
        write_stages(stages, {CASE: _changed(seen, version.changed).stages})
        is_drawn = version.failure is None and version.skip is None
        return replace(found, drawn=drawn if is_drawn else None), None

    folder.write(label, make)


def _changed(seen: Observation, first: str | None) -> Observation:
    names = [one.stage for one in seen.stages]
    start = len(names) if first is None else names.index(first)
    stages = tuple(
        replace(one, values=one.values + np.asarray(1).astype(one.values.dtype))
        if at >= start
        else one
        for at, one in enumerate(seen.stages)
    )
    return replace(seen, stages=stages)
