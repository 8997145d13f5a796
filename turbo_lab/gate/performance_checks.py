"""The checks of a gate on time, energy and memory.

Owns what each of them needs: both sides in one run, or a stored baseline that was timed in
exactly this environment. The verdicts are decided in :mod:`turbo_lab.gate.checks`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from turbo_lab.compare import latency
from turbo_lab.compare.baseline import Baseline
from turbo_lab.documents.gate import CheckResult
from turbo_lab.execute.peak_memory import MemorySubject, compare_footprints
from turbo_lab.execute.worker import worker_for
from turbo_lab.gate import checks
from turbo_lab.gate.inputs import GateInputs
from turbo_lab.golden.tiers import choose_tier
from turbo_lab.verdict import Verdict

if TYPE_CHECKING:
    from turbo_lab.runtime.paired_timing import PairedTiming

NEEDS_BASELINE = "needs a baseline in the same run: give baseline.KEY=VALUE"
_NO_METER = "energy is read from an NVIDIA GPU through NVML (pip install 'turbo-lab[gpu]')"


@dataclass(frozen=True)
class Instruments:
    """Functions that time the two sides of a gate and measure their memory; tests replace them."""

    time_sides: Callable[..., PairedTiming] = latency.time_sides
    """Timing of the baseline and the candidate, in this order, in interleaved blocks."""
    compare_footprints: Callable[..., tuple[list[int], list[int]]] = compare_footprints
    """Peaks of memory of the candidate and the baseline, in this order, in bytes."""


INSTRUMENTS = Instruments()
"""The real instruments."""


def check_latency(margin: float, inputs: GateInputs, instruments: Instruments) -> CheckResult:
    """Time both sides in one run; if the check does not pass, repeat it as the policy says."""
    if inputs.baseline is None:
        return _stored_latency(margin, inputs)
    for attempt in range(inputs.policy.retries + 1):
        timed = instruments.time_sides(inputs.baseline, inputs.candidate)
        repeated = [f"repeated; attempt {attempt + 1} counts"] if attempt else []
        note = "; ".join([*repeated, *timed.warnings]) or None
        row = checks.ratio_check(
            "latency", timed.blocks_b_s, timed.blocks_a_s, margin=margin, note=note
        )
        if row.verdict == Verdict.PASS:
            break
    return row


def _stored_latency(margin: float, inputs: GateInputs) -> CheckResult:
    """Compare with the times of a stored baseline, if it was timed in exactly this environment."""
    stored, sweep = inputs.stored, inputs.candidate
    if stored is None or not stored.timing_samples_s:
        note = f"{NEEDS_BASELINE}, or store one that was timed: turbo-lab sweep timing=full"
        return CheckResult.without_value("latency", Verdict.UNCOVERED, note)
    choice = choose_tier(stored.fingerprint.keys, sweep.fingerprint.keys)
    differs = [name for name, *_ in choice.differs] if choice.tier != "T0" else []
    # Two machines with one device name differ in clocks, cooling and what else they run.
    if stored.fingerprint.options.get("host") != sweep.fingerprint.options["host"]:
        differs.append("host")
    if differs:
        note = f"the stored baseline was timed elsewhere ({', '.join(differs)}); {NEEDS_BASELINE}"
        return CheckResult.without_value("latency", Verdict.UNCOVERED, note)
    worker, cell = worker_for(sweep), sweep.cells[0]
    images, stored_images = inputs.images_per_call, _images_per_call(stored)
    if images != stored_images:
        note = f"a call draws {images} images, and {stored_images} in the stored baseline"
        return CheckResult.without_value("latency", Verdict.UNCOVERED, note)
    worker.prepare(cell.recipe)
    timing = worker.time_cell(cell, "full", sweep.fingerprint)
    return checks.stored_ratio_check(
        "latency",
        timing.samples_s,
        stored.timing_samples_s,
        margin=margin,
        note="; ".join(["the baseline was timed when it was stored", *timing.warnings]),
    )


def _images_per_call(stored: Baseline) -> int:
    """Return the number of images of one timed call: those of the cell's first batch."""
    return min(stored.parameters.batch_size, len(stored.keys))


def check_energy(margin: float, inputs: GateInputs, instruments: Instruments) -> CheckResult:
    """Measure the energy of both sides in one run, if the device has a meter."""
    from turbo_lab.runtime.energy import open_meter

    if inputs.baseline is None:
        return CheckResult.without_value("energy", Verdict.UNCOVERED, NEEDS_BASELINE)
    if open_meter(inputs.baseline.device) is None:
        note = f"device={inputs.baseline.device} has no energy meter; {_NO_METER}"
        return CheckResult.without_value("energy", Verdict.UNCOVERED, note)
    timed = instruments.time_sides(inputs.baseline, inputs.candidate, with_energy=True)
    if timed.energy is None:
        note = f"the device gave no readings; {_NO_METER}"
        return CheckResult.without_value("energy", Verdict.UNCOVERED, note)
    return checks.energy_check(timed.energy, margin, inputs.images_per_call)


def check_memory(margin: float, inputs: GateInputs, instruments: Instruments) -> CheckResult:
    """Compare the peaks of memory of both sides."""
    if inputs.baseline is None:
        return CheckResult.without_value("memory", Verdict.UNCOVERED, NEEDS_BASELINE)
    candidate, baseline = instruments.compare_footprints(
        MemorySubject.of(inputs.candidate), MemorySubject.of(inputs.baseline)
    )
    mib = [sum(side) / len(side) / 2**20 for side in (candidate, baseline)]
    note = f"mean peak {mib[0]:.1f} MiB, the baseline's {mib[1]:.1f} MiB"
    return checks.ratio_check("memory", candidate, baseline, margin=margin, note=note)
