"""Every table of the terminal fits 80 columns, with nothing cut off."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.report.comparisons import compare_report, several_entrants, with_energy
from tests.report.gates import awkward_report, check_result, gate_report
from tests.report.results import ENERGY, TIMING, latency, sweep_result
from turbo_lab.compare.published import published_tables
from turbo_lab.documents.compare import CompareReport, FidelityMetric
from turbo_lab.documents.gate import BlindnessOutcome, CatchRate, GateMutation
from turbo_lab.documents.golden import (
    CheckedCase,
    FaultOutcome,
    GoldenCheck,
    GoldenMutation,
    HarmlessOutcome,
    Invariance,
    ListedCase,
    Margin,
    StageDifference,
)
from turbo_lab.documents.inspection import Diagnosis, Finding, FindingStatus
from turbo_lab.documents.models import ModelRow
from turbo_lab.documents.plan import (
    Forecast,
    PlanCell,
    PlanCounts,
    PlanResult,
    PlanWork,
    RowsPlanned,
)
from turbo_lab.documents.sweep import SweepResult
from turbo_lab.documents.timing import BenchCell
from turbo_lab.report.text import compare, doctor, gate, golden, tables, terminal
from turbo_lab.store.record import CellStatus
from turbo_lab.trials.golden_calibration import Calibration
from turbo_lab.trials.harmless import HARMLESS
from turbo_lab.verdict import Direction, Verdict
from turbo_lab.workflows.catalog import list_models

LONG = "a sentence that says what happened and what to do about it, in more words than fit"


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "_WIDTH", 80)


def sweep() -> SweepResult:
    """Return a sweep with four axes, three metrics and energy."""
    found = sweep_result(None)
    more = {"lora": "flat@0.8+ink@0.5", "resolution": "1024x1024"}
    cells = []
    for cell in found.cells:
        score = {} if cell.is_failed else {"r_precision": cell.metrics["clip_score"]}
        timing = None if cell.timing is None else replace(cell.timing, energy=ENERGY)
        axes = {**cell.axes, **more}
        cells.append(replace(cell, axes=axes, metrics={**cell.metrics, **score}, timing=timing))
    return replace(found, cells=tuple(cells))


def bench() -> list[BenchCell]:
    """Return two timed cells with energy, and one that failed."""
    axes = {"batch_size": 16, "num_inference_steps": 4}
    timing = replace(TIMING, energy=ENERGY)
    done = BenchCell(axes, CellStatus.DONE, None, latency(1.2345), 1.0, timing)
    return [done, done, BenchCell(axes, CellStatus.FAILED, LONG, None)]


def plan() -> PlanResult:
    """Return a plan of one cell and large numbers."""
    rows = RowsPlanned(alone=123456, planned=98765)
    axes = {"num_inference_steps": 1, "guidance_scale": 0, "lora": "flat@0.8+ink@0.5"}
    cell = PlanCell("0" * 16, axes, (), "to_run")
    counts = PlanCounts(requested=1, distinct=1, in_store=0, to_run=1)
    return PlanResult(counts, PlanWork(rows, rows, rows), Forecast(471.0, None, None), (cell,), ())


def comparison() -> CompareReport:
    """Return a comparison with energy, distances of images and published values."""
    found = with_energy(compare_report())
    numbers = ("psnr", "dB", Direction.HIGHER, 43.987, 41.61, 16, (43.07, 45.08), None)
    unscored = ("lpips", "", Direction.LOWER, None, None, 16, None, LONG)
    rows = (FidelityMetric(*numbers), FidelityMetric(*unscored))
    return replace(found, fidelity={"slow 4 steps": rows}, published=published_tables())


def wide_table() -> CompareReport:
    """Return a comparison of several entrants with every column."""
    found = several_entrants()
    figures = {"lpips": 0.01234, "joules_per_image": 12.34, "psnr_db": 43.21}
    distance = {"frechet_difference": -0.01234, "frechet_ci95": (-0.0312, 0.0123)}
    entrants = tuple(replace(one, **figures, **distance) for one in found.entrants)
    return replace(found, entrants=entrants)


def mutation() -> GateMutation:
    """Return a gate's verdicts on two faults by six checks."""
    checks = ("clip_score", "r_precision", "goldens", "latency", "memory", "energy")
    verdicts = dict.fromkeys(checks, "inconclusive")
    fault = BlindnessOutcome(
        "classifier-free guidance twice", "", True, verdicts, dict.fromkeys(checks, -0.123)
    )
    return GateMutation(1.0, {name: CatchRate(1, 2) for name in ("gate", *checks)}, (fault, fault))


def checked() -> GoldenCheck:
    """Return the check of a long name with a long message."""
    stage = StageDifference("latents.0", False, 0.0123, 0.0456, False)
    case = CheckedCase(
        "lcm-4steps-guidance-and-two-loras", Verdict.REGRESSION, "T0", LONG, stage, explanation=LONG
    )
    return GoldenCheck(Verdict.REGRESSION, (case,))


def faults() -> GoldenMutation:
    """Return one fault that is missed, and one harmless change."""
    missed = FaultOutcome(
        "wrong timestep spacing of the scheduler",
        False,
        {"T0": True, "T1": False, "T2": False},
        3,
        None,
        worst_by_tier={"T1": 0.123, "T2": 0.456},
    )
    return GoldenMutation(1.0, (missed,), (HarmlessOutcome("a fresh process", False, "T0", 3),))


def calibration() -> Calibration:
    """Return the distances of all harmless changes."""
    names = [f"{tier} {name}" for tier, name in golden._DISTANCES]
    thresholds: dict[str, dict[str, Margin]] = {"T1": {}, "T2": {}}
    for tier, name in golden._DISTANCES:
        thresholds[tier][name] = Margin(1.2e-5, 3e-6, 100)
    worst = {change.name: dict.fromkeys(names, 1.2e-05) for change in HARMLESS}
    return Calibration(thresholds, worst, dict.fromkeys(worst, 13), 13)


def diagnosis() -> Diagnosis:
    """Return a note with a command, and a problem."""
    text = f"{LONG}: hf download stabilityai/stable-diffusion-xl-base-1.0"
    return Diagnosis.of(
        [
            Finding("model sdxl-lightning-4step-lora", FindingStatus.NOTE, text),
            Finding("store", FindingStatus.PROBLEM, LONG),
        ]
    )


PRINTERS: dict[str, Callable[[], None]] = {
    "sweep": lambda: tables.sweep_table(sweep()),
    "bench": lambda: tables.bench_table(bench()),
    "plan": lambda: tables.plan_table(plan()),
    "models list": lambda: tables.models_table(
        [
            ModelRow(**{f: getattr(row, f) for f in row.__dataclass_fields__})
            for row in list_models()
        ]
    ),
    "doctor": lambda: doctor.print_diagnosis(diagnosis()),
    "compare": lambda: compare.print_compare(comparison()),
    "compare, several entrants": lambda: compare.print_compare(wide_table()),
    "gate": lambda: gate.print_gate(
        gate_report(check_result("inconclusive", (-0.0312, 0.0123), value=0.81234, note=LONG))
    ),
    "gate, every verdict": lambda: gate.print_gate(awkward_report()),
    "gate mutate": lambda: gate.print_blindness(mutation()),
    "golden check": lambda: golden.print_check(checked()),
    "golden list": lambda: golden.print_list(
        [ListedCase("lcm-4steps", (), "ab" * 32, "somebody", "2026-11-27", LONG, 0, 0)]
    ),
    "golden mutate": lambda: golden.print_mutation(faults()),
    "golden calibrate": lambda: golden.print_calibration(calibration()),
    "golden invariance": lambda: golden.print_invariance(
        [Invariance("batch position and prompt order", "T0", True, 13, 12, LONG)]
    ),
}


@pytest.mark.parametrize("name", PRINTERS)
def test_a_table_fits_80_columns(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    PRINTERS[name]()
    shown = capsys.readouterr().out
    assert shown and "\N{HORIZONTAL ELLIPSIS}" not in shown
    # A sentence or a command is wrapped by the terminal; only columns have wide gaps.
    is_table = re.compile(r"\S {2,}\S|[\u2500-\u257f]")
    too_wide = [
        line
        for line in shown.splitlines()
        if len(line) > 80 and is_table.search(line) and " turbo-lab " not in line
    ]
    assert too_wide == []
