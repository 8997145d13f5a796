"""Strips of timed calls: order, marks and words."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from tests.report.sweeps import sweep_with_details
from turbo_lab.report.html.latency import latency_strips


def test_the_fastest_cell_is_first_and_every_call_has_a_mark(tmp_path: Path) -> None:
    sweep, shown = sweep_with_details(tmp_path)
    details = shown.details
    drawn = latency_strips(sweep.cells, ["num_inference_steps"], details)
    assert drawn is not None
    strips = [one for one in ElementTree.fromstring(drawn) if one.get("class") == "strip"]
    assert [one.get("data-cell") for one in strips] == ["0", "1", "3"]
    for strip in strips:
        kinds = [mark.get("class") for mark in strip.iter() if mark.tag in ("line", "rect")]
        assert kinds == ["band", *["call"] * 6, "median"]
    assert [one.findtext("span") for one in strips] == ["steps 1", "steps 1", "steps 2"]
    words = [span.text for span in strips[0].iter("span")]
    assert words[-1] == "p50 100 · p95 200 · n 6"


def test_without_a_timed_cell_there_are_no_strips(tmp_path: Path) -> None:
    sweep, shown = sweep_with_details(tmp_path)
    details = shown.details
    failed = [cell for cell in sweep.cells if cell.is_failed]
    assert latency_strips(failed, [], details) is None
