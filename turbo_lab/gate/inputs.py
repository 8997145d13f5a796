"""What a gate compares: a policy and two resolved sides, checked before any image is drawn."""

from __future__ import annotations

from dataclasses import dataclass

from turbo_lab.compare.baseline import Baseline, how_to_make, names, own_folder, read_baseline
from turbo_lab.compare.latency import check_same_calls, check_same_run
from turbo_lab.gate.policy import Policy
from turbo_lab.golden.library import check_known, open_library
from turbo_lab.planning.resolved_sweep import ResolvedSweep


@dataclass(frozen=True)
class GateInputs:
    """A policy, and the sides that it judges."""

    policy: Policy
    """The checks to make."""
    candidate: ResolvedSweep
    """The candidate's one cell."""
    baseline: ResolvedSweep | None
    """The baseline's one cell, to be drawn in the same run; ``None``: the stored one serves."""
    stored: Baseline | None
    """The stored baseline; ``None`` if the baseline is drawn or the policy's does not exist."""
    missing: str = ""
    """Message about a stored baseline that does not exist."""

    @property
    def images_per_call(self) -> int:
        """Images per call of the candidate's cell."""
        return len(self.candidate.cells[0].batches[0].layout.seeds)


def check_cases(policy: Policy) -> None:
    """Check that every golden case that a policy names exists. Raises ``InputError``."""
    if policy.named_cases():
        check_known(list(policy.named_cases()), open_library().cases())


def gate_inputs(
    policy: Policy, candidate: ResolvedSweep, baseline: ResolvedSweep | None
) -> GateInputs:
    """Validate both sides; without a baseline, read the policy's stored one.

    Each side has one cell. Raises ``InputError`` if they cannot be timed in one run.
    """
    if baseline is None:
        folder = own_folder()
        if policy.baseline not in names(folder):
            missing = how_to_make(policy.baseline, folder)
            return GateInputs(policy, candidate, None, None, missing)
        return GateInputs(policy, candidate, None, read_baseline(policy.baseline, folder))
    if policy.latency is not None or policy.energy is not None:
        check_same_run("gate", baseline, candidate)
    if any(limit is not None for limit in (policy.latency, policy.memory, policy.energy)):
        check_same_calls("gate", baseline, candidate)
    return GateInputs(policy, candidate, baseline, None)
