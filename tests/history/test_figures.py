"""Figures of documents: names, subjects, intervals, and what has none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.history.entries import occasion
from tests.report.gates import check_result, gate_report
from turbo_lab.documents.document import to_document
from turbo_lab.documents.golden import CaseDistance, CheckedCase, GoldenCheck
from turbo_lab.documents.timing import BenchCell, BenchResult, CellTiming, PairEnergy, PairResult
from turbo_lab.errors import InputError, TurboLabError
from turbo_lab.history.figures import Kept, entry_of, read_entry, subject_of
from turbo_lab.store.record import CellStatus, EnergySummary, LatencySummary
from turbo_lab.verdict import Direction, Verdict

LATENCY = LatencySummary(0.1, p50=0.09, p90=0.2, p95=0.3, p99=None, n=20, ci95=(0.08, 0.1))
ENERGY = EnergySummary(3.5, ci95=(3.4, 3.6), n=8, method="counter", blocks_j=(3.5,))
TIMING = CellTiming(
    batch_size=4,
    stages_s=None,
    throughput_images_per_s=40.0,
    peak_memory_bytes=300 << 20,
    first_call_s=0.7,
    warnings=(),
    unet_steps_s=None,
    peaks_bytes=None,
    conditions=(),
    energy=ENERGY,
    compile_s=12.0,
)
CELL = BenchCell({"batch_size": 4}, CellStatus.DONE, None, LATENCY, load_s=2.0, timing=TIMING)
FAILED = BenchCell({"batch_size": 8}, CellStatus.FAILED, "out of memory", None)
WORDS = ("model=nano-turbo", "batch_size=4,8", "store=there", "tracking.uri=x", "--json")


def at(document: Any, *words: str) -> Any:
    """Return a document with an occasion."""
    return replace(document, occasion=replace(occasion(), command=words or WORDS))


BENCH = at(BenchResult((CELL, FAILED), ()))


def test_a_bench_gives_each_cell_its_own_figures() -> None:
    found = entry_of(BENCH)
    assert (found.source, found.verdict) == ("bench", None)
    assert {f.subject for f in found.figures} == {"model=nano-turbo batch_size=4"}
    values = {f.name: (f.value, f.ci95, f.unit) for f in found.figures}
    assert values == {
        "latency": (0.09, (0.08, 0.1), "s"),
        "first_call": (0.7, None, "s"),
        "peak_memory": (float(300 << 20), None, "bytes"),
        "load": (2.0, None, "s"),
        "compile": (12.0, None, "s"),
        "energy": (3.5, (3.4, 3.6), "J/image"),
    }
    assert all(f.is_timed and f.direction == Direction.LOWER for f in found.figures)


def test_a_gate_gives_the_candidates_values_with_the_interval_around_the_baseline() -> None:
    check = check_result("pass", (-0.02, 0.01), value=0.895, unit="")
    ratio = check_result("pass", None, name="latency", value=1.1, unit="ratio")
    none = check_result("uncovered", None, name="energy", value=None)
    found = entry_of(at(gate_report(check, ratio, none), "lora=flat@0.8"))
    clip, latency = found.figures
    assert (clip.name, clip.subject, clip.value) == (
        "clip_score",
        "gate=release lora=flat@0.8",
        0.895,
    )
    assert clip.ci95 == pytest.approx((0.88, 0.91)) and not clip.is_timed
    assert (latency.value, latency.ci95, latency.unit, latency.is_timed) == (1.1, None, "", True)
    assert found.verdict == Verdict.REGRESSION


def test_a_pair_gives_its_ratios() -> None:
    pair = PairResult(
        baseline=("model=a",),
        candidate=("model=b",),
        verdict="B is slower",
        ratio=1.2,
        ci95=(1.1, 1.3),
        noise_ratio=1.0,
        noise_ci95=(0.99, 1.01),
        baseline_s=0.1,
        candidate_s=0.12,
        baseline_blocks_s=(),
        candidate_blocks_s=(),
        calls_a_block=4,
        warnings=(),
        energy=PairEnergy(1.0, 1.1, ratio=1.1, ci95=None, method="counter"),
    )
    found = entry_of(at(pair, "candidate.model=b", "baseline.model=a"))
    assert [(f.name, f.value) for f in found.figures] == [
        ("latency ratio", 1.2),
        ("latency", 0.12),
        ("energy ratio", 1.1),
    ]
    assert {f.subject for f in found.figures} == {"baseline.model=a candidate.model=b"}


def case(name: str, verdict: str, share: float | None, *, identical: bool = False) -> CheckedCase:
    """Return a checked case whose largest distance is ``share`` of its threshold."""
    figures = (
        {} if share is None else {"a": CaseDistance(0.1, 1.0), "b": CaseDistance(share * 2, 2)}
    )
    return CheckedCase(name, Verdict(verdict), "T1", "", figures=figures, identical=identical)


def test_goldens_give_their_shares_and_the_tolerance_that_each_used() -> None:
    cases = [
        case("plain", "pass", 0.5),
        case("equal", "pass", 0.3, identical=True),
        case("lora", "regression", 1.5),
        case("unknown", "error", None),
        case("elsewhere", "uncovered", 0.9),
    ]
    found = entry_of(at(GoldenCheck(Verdict.ERROR, tuple(cases)), "device=cuda", "plain"))
    values = {(f.name, f.subject): f.value for f in found.figures}
    assert values == {
        ("goldens passing", "device=cuda"): 0.5,
        ("goldens identical", "device=cuda"): 0.25,
        ("share of tolerance", "plain device=cuda"): 0.5,
        ("share of tolerance", "equal device=cuda"): 0.0,
        ("share of tolerance", "lora device=cuda"): 1.5,
    }
    assert not any(f.is_timed for f in found.figures)


@pytest.mark.parametrize(
    "document", [at(BenchResult((FAILED,), ())), at(GoldenCheck(Verdict.UNCOVERED, ()))]
)
def test_what_measured_nothing_has_no_figures(document: Kept) -> None:
    assert entry_of(document).figures == ()


def test_a_document_is_read_back_from_json() -> None:
    assert read_entry(to_document("bench", BENCH), "file") == entry_of(BENCH)


def test_another_document_is_refused() -> None:
    with pytest.raises(InputError, match="file: is a document of kind 'sweep'; a history takes"):
        read_entry({"kind": "sweep"}, "file")
    with pytest.raises(TurboLabError, match="cells is missing"):
        read_entry({"kind": "bench", "schema": 1}, "file")
    with pytest.raises(InputError, match="does not say when and where it was measured"):
        entry_of(replace(BENCH, occasion=None))


def test_the_subject_leaves_out_where_results_go() -> None:
    words = ("seed=1", "--fresh", "store=a", "sheet.x=b", "tracking=none", "candidate.lora=c")
    assert subject_of(words) == "candidate.lora=c seed=1"
