"""The page of a comparison in a real browser."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.report.browser import run_in_page
from turbo_lab.compare.paired import CheckResult
from turbo_lab.images import encode_png
from turbo_lab.report.html.compare import compare_report
from turbo_lab.report.html.pictures import Picture

NASTY = "<img src=x onerror=\"errors.push('ran')\">"


def contender(label: str, score: float, p50: float) -> dict[str, Any]:
    figure = {"value": score, "ci95": (score - 0.01, score + 0.01), "n": 16}
    return {
        "label": label,
        "metrics": {"clip_score": figure},
        "latency_s": {"p50": p50, "ci95": (p50 - 0.01, p50 + 0.01), "n": 6},
    }


def document() -> dict[str, Any]:
    row = CheckResult(
        name="clip_score / slow 4 steps (own settings)",
        verdict="pass",
        value=0.9,
        baseline=0.8,
        difference=0.1,
        ci95=(0.05, 0.15),
        margin=0.0,
        n=16,
        minimum_detectable_effect=0.02,
        direction="higher",
    )
    return {
        "verdict": "pass",
        "candidate": "fast 1 steps",
        "rows": [vars(row)],
        "contenders": [contender("fast 1 steps", 0.9, 0.1), contender("slow 4 steps", 0.8, 0.5)],
        "pareto": ["fast 1 steps"],
        "prompts": {"slow 4 steps": {"gains": [(NASTY, 0.2)], "losses": [("a key", -0.1)]}},
    }


def test_contenders_front_and_prompts_side_by_side() -> None:
    picture = Picture(encode_png(np.zeros((64, 64, 3), np.uint8), {}), "image/png", 64, 64)
    pictures = {side: {NASTY: picture} for side in ("fast 1 steps", "slow 4 steps")}
    found = run_in_page(
        compare_report(document(), pictures),
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
