"""Sentences that every report shares."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.report.comparisons import compare_report, several_entrants
from tests.report.gates import awkward_report, check_result, gate_report, with_origin
from tests.report.results import sweep_result, with_cell
from turbo_lab.documents.compare import FidelityMetric, PromptExtremes
from turbo_lab.documents.golden import CheckedCase, GoldenCheck, StageDifference
from turbo_lab.documents.sweep import SweepResult
from turbo_lab.report.html.compare import compare_page
from turbo_lab.report.html.gate import gate_page
from turbo_lab.report.html.golden import golden_page
from turbo_lab.report.html.page import escape
from turbo_lab.report.markdown import gate_markdown
from turbo_lab.report.sentences import (
    OUTCOMES,
    case_lines,
    compare_title,
    contender_latencies,
    differences_title,
    gate_origin,
    gate_outcome,
    latency_note,
    per_call,
    prompt_changes,
    prompt_sides,
    prompts_title,
    same_images,
    time_taken,
)
from turbo_lab.report.text.compare import print_compare
from turbo_lab.report.text.gate import print_gate
from turbo_lab.report.text.golden import print_check
from turbo_lab.verdict import Direction, Verdict


@pytest.fixture
def sweep() -> SweepResult:
    times = {"load_s": 30.2, "wall_s": 259.9, "timing_s": 380.1, "metrics_s": 14.0}
    return replace(sweep_result(None), **times, tracking_s=0.04, total_s=688.4)


def test_the_parts_of_a_sweeps_time_add_up(sweep: SweepResult) -> None:
    assert time_taken(sweep) == (
        "took 11 min 28 s: 30 s loading, 4 min 20 s drawing, 6 min 20 s timing, 14 s metrics, "
        "4.2 s other"
    )


def test_a_document_of_an_earlier_version_has_the_parts_it_knows(sweep: SweepResult) -> None:
    assert time_taken(replace(sweep, total_s=None)).startswith("took 11 min 24 s: 30 s loading")


def test_a_single_part_is_not_repeated(sweep: SweepResult) -> None:
    nothing = dict.fromkeys(("load_s", "wall_s", "timing_s", "metrics_s", "tracking_s"), 0.0)
    assert time_taken(replace(sweep, **nothing, total_s=1.2)) == "took 1.2 s"


@pytest.mark.parametrize(
    ("sizes", "text"),
    [
        ([], "per call"),
        ([1], "per call of 1 image"),
        ([16, 16], "per call of 16 images"),
        ([16, 1, 4], "per call of 1, 4 or 16 images"),
    ],
)
def test_a_latency_says_what_it_is_the_time_of(sizes: list[int], text: str) -> None:
    assert per_call(sizes) == text


def test_latencies_say_how_many_calls_and_images_they_are_of(sweep: SweepResult) -> None:
    timing, latency = sweep.cells[0].timing, sweep.cells[0].latency_s
    assert timing is not None and latency is not None
    count, images = latency.n, timing.batch_size
    assert latency_note(sweep.cells) == f"p50 ms: median of {count} calls, {per_call([images])}"
    more = with_cell(sweep, 0, latency_s=replace(latency, n=count + 3))
    assert f"median of {count} to {count + 3} calls" in (latency_note(more.cells) or "")
    assert latency_note(sweep.cells[2:3]) is None  # it failed
    report = compare_report()
    first, *others = report.contenders
    sized = replace(first, latency_s=replace(first.latency_s, images_per_call=16))
    report = replace(report, contenders=(sized, *others))
    assert contender_latencies(report) == "p50 ms: median of 6 calls, per call of 16 images"


def printed(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().out.split())


def test_terminal_page_and_markdown_say_the_same_about_a_gate(
    capsys: pytest.CaptureFixture[str],
) -> None:
    report = with_origin(gate_report(check_result("inconclusive", (-0.03, 0.01))))
    print_gate(report)
    terminal, page, markdown = printed(capsys), gate_page(report), gate_markdown(report)
    same = (
        gate_outcome(report),
        gate_origin(report),
        "model aaaaaaaaaaaa, results cccccccccccc",
        "torch 2.13, diffusers 0.41",
        "3 of 128 images have the baseline's pixels",
        "The environment is the same as the baseline's.",
    )
    for text in same:
        assert text in terminal and escape(text) in page
        assert text in markdown.replace("\\", "")
    assert "2026-11-27 17:05:00 UTC, turbo-lab" in terminal


def test_terminal_and_page_say_the_same_about_a_comparison(
    capsys: pytest.CaptureFixture[str],
) -> None:
    psnr = FidelityMetric("psnr", "dB", Direction.HIGHER, 43.99, 41.62, 16, (43.07, 45.08), None)
    report = replace(compare_report(), fidelity={"slow 4 steps": (psnr,)})
    print_compare(report)
    terminal, page = printed(capsys), compare_page(report, {})
    same = (
        OUTCOMES[Verdict.PASS],
        contender_latencies(report),
        "on the Pareto front of clip_score and latency",
        "same prompts and seeds, against slow 4 steps",
        "43.99 (43.07 to 45.08)",
        "Images are paired by prompt and seed",
        "gains most on",
        "loses most on",
    )
    for text in same:
        assert text in terminal and escape(text) in page


def test_a_gate_names_what_did_not_pass_the_worst_first() -> None:
    assert gate_outcome(awkward_report()) == (
        "At least one check found a regression. clip_score: regression; goldens: uncovered; "
        "r_precision: inconclusive."
    )
    assert gate_outcome(gate_report(verdict="pass")) == "Every check passes."


def test_terminal_and_page_say_the_same_about_a_golden(capsys: pytest.CaptureFixture[str]) -> None:
    stage = StageDifference("unet.0", False, 0.0123, 0.0456, False)
    case = CheckedCase("poster", Verdict.REGRESSION, "T0", "not identical", stage, explanation="x")
    check = GoldenCheck(Verdict.REGRESSION, (case,))
    print_check(check)
    terminal, page = printed(capsys), golden_page(check, {})
    same = ("not identical", "first difference at unet.0, by up to 0.0123 (relative L2 0.046)")
    assert case_lines(case) == [*same, "x"]
    for text in same:
        assert text in terminal and text in page
    missing = replace(stage, max_abs=None, relative_l2=None)
    assert case_lines(replace(case, first_divergence=missing))[1].endswith("or is missing")


def test_a_candidate_that_only_gains_loses_on_no_prompt() -> None:
    found = PromptExtremes(gains=(("a key", 0.2), ("a cat", 0.1)), losses=(("a cat", 0.1),))
    assert prompt_changes(found) == [("gains most on", (("a key", 0.2), ("a cat", 0.1)))]
    mixed = PromptExtremes(gains=(("a key", 0.2), ("a cat", -0.1)), losses=(("a cat", -0.1),))
    assert prompt_changes(mixed) == [
        ("gains most on", (("a key", 0.2),)),
        ("loses most on", (("a cat", -0.1),)),
    ]


def test_titles_of_one_candidate_and_of_several() -> None:
    one, label = compare_report(), "slow 4 steps"
    assert compare_title(one) == "fast 1 steps against slow 4 steps"
    assert differences_title(one) == "fast 1 steps against"
    assert prompts_title(one, label) == "against slow 4 steps, fast 1 steps"
    assert prompt_sides(one, label) == ("fast 1 steps", label)
    assert same_images(one, label) == "same prompts and seeds, against slow 4 steps"
    several, label = several_entrants(), "base 1 step dtype=x"
    assert compare_title(several) == "dtype=x against base 1 step"
    assert differences_title(several) == "against base 1 step"
    assert prompts_title(several, label) == "against base 1 step, base 1 step dtype=x"
    assert prompt_sides(several, label) == (label, "base 1 step")
    assert same_images(several, label) == "same prompts and seeds, base 1 step dtype=x"
