"""The policy and the sides of a gate, from ``KEY=VALUE`` words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from turbo_lab import config
from turbo_lab.api.sides import SideWords, compose_side, split_sides
from turbo_lab.compare.published import refuse_published
from turbo_lab.compare.sides import SIDES, require_one_cell
from turbo_lab.errors import InputError
from turbo_lab.gate.inputs import check_cases
from turbo_lab.gate.policy import Policy
from turbo_lab.planning.resolved_sweep import ResolvedSweep, resolve_points


@dataclass(frozen=True)
class ComposedGate:
    """A policy and the sides that it judges, each composed and resolved once."""

    policy: Policy
    """Checks to make."""
    candidate: ResolvedSweep
    """The candidate's one cell."""
    baseline: ResolvedSweep | None
    """The baseline's one cell; ``None``: the stored baseline serves."""
    words: SideWords
    """Words of the command line, by side."""


def compose_gate(arguments: Sequence[str], hydra_flags: Sequence[str] = ()) -> ComposedGate | None:
    """Compose both sides; ``None`` if one of Hydra's own flags printed something instead."""
    refuse_published("gate", *arguments)
    _refuse_policies_of_a_side(arguments)
    words = split_sides(arguments)
    points = config.compose("gate", [*words.of("candidate"), *hydra_flags])
    if not points:
        return None
    policy = Policy.from_config(points[0].group("gate"))
    check_cases(policy)
    candidate = require_one_cell("gate", "candidate", resolve_points(points))
    baseline = compose_side("gate", "baseline", words.of("baseline")) if words.baseline else None
    return ComposedGate(policy, candidate, baseline, words)


def _refuse_policies_of_a_side(arguments: Sequence[str]) -> None:
    for word in arguments:
        side, _, rest = word.partition(".")
        if side in SIDES and rest.split("=")[0].split(".")[0] == "gate":
            raise InputError(
                f"{word.split('=')[0]}: the policy judges both sides; write {rest} with no side"
            )


def trial_words(arguments: Sequence[str]) -> list[str]:
    """Return the candidate's words, with the release policy if none is named."""
    words = [word.removeprefix("candidate.") for word in arguments]
    return words if any(word.startswith("gate=") for word in words) else [*words, "gate=release"]


def compose_trial(words: Sequence[str]) -> tuple[Policy, ResolvedSweep]:
    """Return the policy and the candidate of a trial."""
    points = config.compose("gate", words)
    candidate = require_one_cell("gate", "candidate", resolve_points(points))
    return Policy.from_config(points[0].group("gate")), candidate
