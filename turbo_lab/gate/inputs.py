"""The inputs of a gate: a policy and two resolved sides, checked before any image is drawn."""

from __future__ import annotations

from dataclasses import dataclass

from turbo_lab.compare.baseline import Baseline, how_to_make, names, own_folder, read_baseline
from turbo_lab.compare.beginnings import Beginning, check_same_beginning
from turbo_lab.compare.latency import check_same_calls, check_same_run
from turbo_lab.gate.policy import Policy
from turbo_lab.golden.library import check_known, library_by_case, open_libraries
from turbo_lab.planning.random_weights import refuse_random_weights
from turbo_lab.planning.resolved_sweep import ResolvedSweep


@dataclass(frozen=True)
class GateInputs:
    """A policy, and the sides that it judges."""

    policy: Policy
    """The checks to make."""
    candidate: ResolvedSweep
    """Sweep of the candidate's one cell."""
    baseline: ResolvedSweep | None
    """Sweep of the baseline's one cell, drawn in the same run; ``None``: the stored baseline
    serves."""
    stored: Baseline | None
    """Stored baseline; ``None`` if the baseline is drawn, or the policy's does not exist."""
    missing: str = ""
    """Message about a stored baseline that does not exist; empty if it exists or is not used."""
    warnings: tuple[str, ...] = ()
    """Reasons why some checks will be uncovered, known before anything is drawn."""

    @property
    def images_per_call(self) -> int:
        """Images per call of the candidate's cell."""
        return len(self.candidate.cells[0].batches[0].layout.seeds)


def check_cases(policy: Policy) -> None:
    """Check that every golden case that a policy names exists. Raises ``InputError``."""
    if policy.named_cases():
        check_known(list(policy.named_cases()), library_by_case(open_libraries()))


def gate_inputs(
    policy: Policy, candidate: ResolvedSweep, baseline: ResolvedSweep | None
) -> GateInputs:
    """Validate both sides; without a baseline, read the policy's stored one.

    Each side has one cell. Raises ``InputError`` if they cannot be timed in one run, begin from
    different source images, or if the quality of random weights is asked for.
    """
    if policy.compares_images:
        remedy = "set gate.quality and gate.frechet to null, and gate latency, memory or energy"
        for side in (candidate, baseline):
            if side is not None:
                refuse_random_weights(side, "gate", remedy)
    if baseline is None:
        folder = own_folder()
        if policy.baseline not in names(folder):
            missing = how_to_make(policy.baseline, folder)
            return GateInputs(policy, candidate, baseline=None, stored=None, missing=missing)
        stored = read_baseline(policy.baseline, folder)
        _check_beginning(policy, candidate, Beginning.stored(f"baseline {stored.name}", stored))
        warnings = _differences(policy, SideImages.of(candidate), SideImages.stored(stored))
        return GateInputs(policy, candidate, baseline=None, stored=stored, warnings=warnings)
    _check_beginning(policy, candidate, Beginning.of("the baseline", baseline))
    if policy.latency is not None or policy.energy is not None:
        check_same_run("gate", baseline, candidate)
    if any(limit is not None for limit in (policy.latency, policy.memory, policy.energy)):
        check_same_calls("gate", baseline, candidate)
    warnings = _differences(policy, SideImages.of(candidate), SideImages.of(baseline))
    return GateInputs(policy, candidate, baseline, stored=None, warnings=warnings)


def _check_beginning(policy: Policy, candidate: ResolvedSweep, baseline: Beginning) -> None:
    """Refuse sides that begin from different images, if the policy compares their images."""
    if policy.compares_images:
        check_same_beginning("gate", Beginning.of("the candidate", candidate), baseline)


@dataclass(frozen=True)
class SideImages:
    """Properties of a side's images that both sides must share to be compared."""

    keys: frozenset[tuple[str, int]]
    """Prompt and seed of every image."""
    count: int
    """Number of images."""
    size: str
    """Size of every image, ``WIDTHxHEIGHT`` in pixels."""

    @classmethod
    def of(cls, sweep: ResolvedSweep) -> SideImages:
        """Return the properties of the images that a sweep of one cell draws."""
        cell = sweep.cells[0]
        rows = [
            row
            for batch in cell.batches
            for row in zip(batch.layout.prompts, batch.layout.seeds, strict=True)
        ]
        return cls(frozenset(rows), len(rows), f"{cell.recipe.width}x{cell.recipe.height}")

    @classmethod
    def stored(cls, baseline: Baseline) -> SideImages:
        """Return the properties of the images of a stored baseline."""
        size = f"{baseline.recipe.width}x{baseline.recipe.height}"
        return cls(frozenset(baseline.keys), len(baseline.keys), size)


def _differences(policy: Policy, candidate: SideImages, baseline: SideImages) -> tuple[str, ...]:
    """Return why the sides' images do not compare; drawing them would not change that."""
    found = []
    if candidate.size != baseline.size:
        found.append(
            f"the candidate's images are {candidate.size}, the baseline's {baseline.size}: "
            "metrics of two sizes differ by the size; give resolution once, for both"
        )
    if policy.compares_images and candidate.keys != baseline.keys:
        counts = f"{candidate.count} images, the baseline {baseline.count}"
        same = len(candidate.keys & baseline.keys)
        found.append(
            f"the candidate draws {counts}, and {same} have equal prompts and seeds: the quality "
            "checks pair all of them, so they will be uncovered; give both the same prompts, "
            "num_images and seed"
        )
    return tuple(found)
