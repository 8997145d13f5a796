"""The page of a comparison in a real browser."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.report.browser import run_in_page
from turbo_lab.documents.compare import (
    CompareReport,
    ContenderEnergy,
    ContenderLatency,
    ContenderMetric,
    ContenderResult,
    PromptExtremes,
)
from turbo_lab.documents.gate import CheckResult
from turbo_lab.images import encode_png
from turbo_lab.report.html.compare import compare_page
from turbo_lab.report.html.pictures import Picture
from turbo_lab.report.text.compare import print_compare
from turbo_lab.verdict import Direction, Verdict

NASTY = "<img src=x onerror=\"errors.push('ran')\">"


def contender(label: str, score: float, p50: float) -> ContenderResult:
    return ContenderResult(
        label=label,
        metrics={"clip_score": ContenderMetric(score, (score - 0.01, score + 0.01), 16)},
        latency_s=ContenderLatency(p50, (p50 - 0.01, p50 + 0.01), 6),
    )


def report() -> CompareReport:
    row = CheckResult(
        name="clip_score / slow 4 steps (own settings)",
        verdict=Verdict.PASS,
        value=0.9,
        baseline=0.8,
        difference=0.1,
        ci95=(0.05, 0.15),
        margin=0.0,
        n=16,
        minimum_detectable_effect=0.02,
        direction=Direction.HIGHER,
    )
    return CompareReport(
        verdict=Verdict.PASS,
        candidate="fast 1 steps",
        rows=(row,),
        contenders=(contender("fast 1 steps", 0.9, 0.1), contender("slow 4 steps", 0.8, 0.5)),
        pareto=("fast 1 steps",),
        prompts={"slow 4 steps": PromptExtremes(((NASTY, 0.2),), (("a key", -0.1),))},
        fidelity={},
    )


def test_energy_is_a_column_where_it_was_measured(capsys: pytest.CaptureFixture[str]) -> None:
    plain = report()
    first, *others = plain.contenders
    metered = replace(first, energy=ContenderEnergy(12.34, (12.0, 13.0), 9, "power"))
    with_energy = replace(plain, contenders=(metered, *others))
    assert "J/image" not in compare_page(plain, {})
    page = compare_page(with_energy, {})
    assert "J/image" in page and "12.3" in page
    print_compare(plain)
    assert "J/image" not in capsys.readouterr().out
    print_compare(with_energy)
    assert "12.34 (12 to 13) by power" in capsys.readouterr().out


def test_contenders_front_and_prompts_side_by_side() -> None:
    picture = Picture(encode_png(np.zeros((64, 64, 3), np.uint8), {}), "image/png", 64, 64)
    pictures = {side: {NASTY: picture} for side in ("fast 1 steps", "slow 4 steps")}
    found = run_in_page(
        compare_page(report(), pictures),
        """
        const all = (q) => [...document.querySelectorAll(q)];
        found.best = all("td.best .v").map((v) => v.textContent);
        found.front = all(".point.front").map((p) => p.dataset.cell);
        found.bars = all(".interval .bar").length;
        found.pairs = all(".pair").map((p) => p.querySelectorAll("img").length);
        found.prompt = document.querySelector(".pair p").textContent;
        found.injected = all("img[src=x]").length;
        """,
    )
    assert found == {
        "errors": [],
        "best": ["0.900", "100"],
        "front": ["0"],
        "bars": 1,
        # The second prompt's images are not there: it is named without them.
        "pairs": [2, 0],
        "prompt": f"{NASTY} +0.200",
        "injected": 0,
    }
