"""Results of the gate commands on the terminal."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.report.gates import check_result, gate_report
from turbo_lab.documents.gate import (
    BaselineKey,
    GateCalibrated,
    GateCalibration,
    MetricCalibration,
)
from turbo_lab.report.text.gate import print_calibration, print_gate


def test_a_gate_prints_its_checks_remarks_and_environment(
    capsys: pytest.CaptureFixture[str],
) -> None:
    undecided = check_result("inconclusive", (-0.03, 0.01), needed_n=310, note="see [b]")
    report = replace(
        gate_report(undecided, verdict="inconclusive"),
        from_store=4,
        fingerprint_difference=(BaselineKey("torch", "2.13", "2.14"),),
        prompts={"clip_score": (("a [key]", -0.25),)},
    )
    print_gate(report)
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[1] == "clip_score inconclusive 0.8 0.9 -0.01 (-0.03 to +0.01) 0.02 128"
    assert "clip_score: about 310 pairs instead of 128 would decide; see [b]" in lines
    assert "clip_score changed most on: a [key] (-0.25)" in lines
    assert "3 of 128 images have the baseline's pixels" in lines
    assert any(line.startswith("4 of the candidate's images were reused") for line in lines)
    assert "torch: 2.13 -> 2.14" in lines and lines[-1] == "release: inconclusive"


@pytest.mark.parametrize(
    ("holds", "text"),
    [(True, "is usable"), (False, "is too tight: equal pipelines would fail it")],
)
def test_a_calibration_says_which_margins_are_usable(
    holds: bool, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    metric = MetricCalibration(
        name="clip_score",
        margin=0.07,
        passes=0.9,
        smallest_margin=0.05,
        holds=holds,
        power=0.464,
    )
    found = GateCalibration(3, 100, (0.01, 0.08), (metric,))
    print_calibration(GateCalibrated(found, real=()))
    shown = capsys.readouterr().out
    assert f"clip_score      margin 0.07 {text}; equal pipelines pass in 90%" in shown
    assert "a loss of 0.14 is detected in 46.4% of resamples" in shown
