"""The page of a bench: every line drawn with its figures, every cell in the table."""

from __future__ import annotations

from turbo_lab.analysis.latency_fit import fits
from turbo_lab.report.html.bench import bench_report


def cells() -> list[dict]:
    rows = []
    for size in (1, 8, 32):
        latency = {"p50": 0.02 + 0.01 * size, "n": 6, "ci95": (0.019 + 0.01 * size, 0.5)}
        rows.append(
            {
                "axes": {"batch_size": size},
                "latency_s": latency,
                "stages_s": dict.fromkeys(("text", "unet", "vae", "post", "other"), 0.001),
                "throughput_images_per_s": 10.0,
                "peak_memory_bytes": 1 << 30,
                "warnings": ["host <busy>"],
            }
        )
    return rows


def test_lines_are_drawn_with_what_they_say() -> None:
    rows = cells()
    (fit,) = fits(rows)
    drawn = bench_report({"cells": [*rows, {"latency_s": None}]}, [fit])
    assert drawn.count("<circle") == 3 and 'class="median-line"' in drawn
    assert fit.text in drawn and "20 ms" in drawn and "10 ms" in drawn
    assert "host &lt;busy&gt;" in drawn and "1024" in drawn


def test_without_a_line_there_is_the_table() -> None:
    drawn = bench_report({"cells": cells()[:2]}, [])
    assert "<svg" not in drawn and "Milliseconds a call" in drawn
