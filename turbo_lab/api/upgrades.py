"""The inputs of an upgrade or a bisection, from the words of a command line.

Owns the order of the checks: everything cheap comes before the first environment.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from turbo_lab.api.gates import compose_trial, trial_words
from turbo_lab.compare.published import refuse_published
from turbo_lab.compare.sides import SIDES
from turbo_lab.errors import InputError, unknown_name
from turbo_lab.gate.inputs import check_cases
from turbo_lab.gate.policy import Policy
from turbo_lab.planning.random_weights import refuse_random_weights
from turbo_lab.planning.resolved_sweep import ResolvedSweep
from turbo_lab.upgrade.environments import (
    Candidate,
    installed_versions,
    make_environment,
    resolve_candidate,
)
from turbo_lab.upgrade.evidence import EvidenceFolder
from turbo_lab.upgrade.installer import find_installer
from turbo_lab.upgrade.requirements import Wanted, parse_range, parse_requirement, split_words
from turbo_lab.upgrade.run import UpgradeInputs
from turbo_lab.upgrade.subjects import commits, releases
from turbo_lab.upgrade.trials import TESTS, BisectInputs
from turbo_lab.workflows.settings import resolve_metric_context


def prepare_upgrade(
    words: Sequence[str],
    pre: bool = False,
    installer: str = "auto",
    *,
    limit_s: float = 600.0,
    output: Path | None = None,
) -> UpgradeInputs:
    """Resolve both sides and make the candidate's environment.

    Raises ``InputError`` for words that are wrong and for requirements without a solution.
    """
    requirements, keys = split_words(words)
    _refuse_wrong_words("upgrade", keys)
    if not requirements:
        raise InputError("upgrade: name a version, as in turbo-lab upgrade diffusers==0.43.0")
    wanted = tuple(parse_requirement(word) for word in requirements)
    policy, sweep, settings = _composed("upgrade", keys)
    program = find_installer(installer)
    candidate = resolve_candidate(wanted, program, pre)
    if not candidate.packages:
        asked = ", ".join(one.shown for one in wanted)
        raise InputError(f"upgrade: {asked}: is installed here already; name another version")
    folder = _made(output or default_folder(candidate))
    return UpgradeInputs(
        wanted,
        make_environment(candidate, program),
        policy,
        sweep,
        settings,
        folder,
        limit_s,
    )


def prepare_bisect(
    words: Sequence[str],
    test: str,
    *,
    checkout: Path | None = None,
    pre: bool = False,
    finds_all: bool = False,
    installer: str = "auto",
    limit_s: float = 600.0,
    output: Path | None = None,
) -> BisectInputs:
    """Resolve the range of a bisection; ``checkout``: of its commits, ``None``: releases.

    Raises ``InputError`` for words that are wrong and for ends that do not exist.
    """
    ranges, keys = split_words(words)
    _refuse_wrong_words("bisect", keys)
    if len(ranges) != 1:
        raise InputError(
            f"bisect: {' '.join(ranges) or 'no range'}: name one range, as in turbo-lab bisect "
            "diffusers==0.38.0..0.42.1"
        )
    policy, sweep, settings = _composed("bisect", keys)
    _check_test(test, policy)
    span = parse_range(ranges[0]) if checkout is None else None
    program = find_installer(installer)
    if span is not None:
        subjects = releases(span, program, pre)
    else:
        assert checkout is not None
        subjects = commits(ranges[0], checkout)
    name = re.sub(r"[^A-Za-z0-9._+-]+", "-", ranges[0].replace("==", "-"))
    folder = _made(output or Path("upgrade") / f"{name}-{test}")
    search = {
        "range": ranges[0],
        "versions": [one.label for one in subjects],
        "test": test,
        "words": settings,
        "here": installed_versions(),
    }
    return BisectInputs(
        ranges[0],
        tuple(subjects),
        test,
        policy,
        sweep,
        settings,
        program,
        EvidenceFolder(folder / "evidence", search),
        limit_s,
        is_pre=pre,
        finds_all=finds_all,
    )


def _check_test(test: str, policy: Policy) -> None:
    """Check that the policy has what a test needs. Raises ``InputError``."""
    if test not in (*TESTS, *policy.quality):
        raise unknown_name("--test", test, (*TESTS, *policy.quality))
    if test == "latency" and policy.latency is None:
        raise InputError("--test latency: set the margin, as in gate.latency=0.2")
    if test != "latency" and policy.goldens is None:
        raise InputError(f"--test {test}: needs golden cases; set gate.goldens to all or a list")


def _composed(command: str, keys: Sequence[str]) -> tuple[Policy, ResolvedSweep, tuple[str, ...]]:
    """Return the policy, the pipeline's one cell, and the words that they were composed from."""
    settings = tuple(trial_words([*keys, "tracking=none"]))
    policy, sweep = compose_trial(settings)
    check_cases(policy)
    if policy.quality:
        refuse_random_weights(sweep, command, "set gate.quality to null")
        resolve_metric_context(sweep)
    return policy, sweep, settings


def _made(folder: Path) -> Path:
    """Make a folder and return it, absolute. Raises ``InputError``."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"--output={folder}: cannot be made ({error.strerror}); name another folder"
        ) from error
    return folder.absolute()


def _refuse_wrong_words(command: str, keys: Sequence[str]) -> None:
    """Raise ``InputError`` for words that compare sides, or that name a version with one sign."""
    refuse_published(command, *keys)
    installed = installed_versions()
    for word in keys:
        key, _, value = word.partition("=")
        if key.partition(".")[0] in SIDES:
            raise InputError(
                f"{key}: both environments draw the same pipeline; write the key with no side"
            )
        if key.lower().replace("_", "-") in installed:
            raise InputError(f"{word}: to name a version, write {key}=={value}")


def default_folder(candidate: Candidate) -> Path:
    """Return ``upgrade/NAME-VERSION`` of the packages that were asked for."""
    versions = {one.name: one.version for one in candidate.packages}
    names = [_named(one, versions) for one in candidate.wanted]
    return Path("upgrade") / re.sub(r"[^A-Za-z0-9._+-]+", "-", "_".join(names))[:100]


def _named(wanted: Wanted, versions: dict[str, str | None]) -> str:
    if wanted.name is None or versions.get(wanted.name, "") is None:
        return wanted.shown.rpartition("/")[2]
    return f"{wanted.name}-{versions.get(wanted.name) or 'installed'}"
