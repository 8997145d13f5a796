"""Summaries of comparisons and gates for MLflow."""

from __future__ import annotations

from dataclasses import replace

from tests.report.judged import compare_report_of_two, gate_report_of_two
from turbo_lab.report.judgement import compare_judgement, gate_judgement


def test_a_gate_is_its_checks_and_its_sides() -> None:
    report = gate_report_of_two()
    found = gate_judgement(report)
    assert (found.command, found.name, found.verdict) == ("gate", report.gate, report.verdict)
    assert found.metrics["clip_score"] == 0.8
    assert found.metrics["difference clip_score"] == -0.05
    assert "lpips" not in found.metrics, "a check without a value"
    assert found.parameters["candidate"] == "candidate.lora=flat@0.8"
    assert found.parameters["torch"] == "2.15.0"
    assert found.description.startswith("## turbo-lab gate release")
    assert gate_judgement(report).judgement_id == found.judgement_id
    later = replace(report, date="2026-11-28T00:00:00+00:00")
    assert gate_judgement(later).judgement_id != found.judgement_id


def test_a_comparison_is_its_candidate_and_its_differences() -> None:
    report = compare_report_of_two()
    found = compare_judgement(report)
    assert (found.command, found.name) == ("compare", "nano-turbo 1 step")
    assert found.metrics["clip_score"] == 0.86 and found.metrics["latency_p50_s"] == 0.19
    assert found.metrics["difference clip_score / nano-sdxl 25 steps (own settings)"] == -0.003
    assert found.parameters["baseline"] == "nano-sdxl 25 steps"
    assert "clip\\_score / nano-sdxl 25 steps (own settings)" in found.description
