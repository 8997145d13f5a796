"""Page of a sweep, in a real browser."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.report.browser import run_in_page
from tests.report.pages import in_page
from tests.report.results import with_cell
from tests.report.sweeps import NASTY, large_sweep, sweep_with_details
from turbo_lab.report.html.explorer import Shown
from turbo_lab.report.html.sweep import sweep_page, sweep_report


def test_a_page_refers_to_no_other_file(sweep_page: str) -> None:
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)", sweep_page)
    assert "url(" not in sweep_page and "@import" not in sweep_page
    assert "default-src &#x27;none&#x27;" in sweep_page


def test_a_prompt_with_markup_is_text(sweep_page: str) -> None:
    found = in_page(
        sweep_page,
        """
        found.head = $(".lane:not(.heads) h3").textContent;
        found.tile = $(".tile").title.split(" · ")[0];
        found.injected = all("img[src=x]").length;
        found.table = all("table.prompts tbody tr").map((r) => r.cells[0].textContent);
        found.key = all("dd").map((d) => d.textContent).filter((t) => t.includes("onerror")).length;
        """,
    )
    assert found["head"] == found["tile"] == NASTY and NASTY in found["table"]
    assert (found["injected"], found["key"]) == (0, 1)


def test_nothing_is_wider_than_a_phone(sweep_page: str) -> None:
    # A frame has any width that it is given; a headless window has a minimum width.
    found = run_in_page(
        "<html><head></head><body></body></html>",
        """
        const frame = document.createElement("iframe");
        frame.style.cssText = "width:390px;height:800px;border:0";
        frame.srcdoc = PAGE;
        document.body.append(frame);
        await new Promise((done) => { frame.onload = done; });
        const inner = frame.contentDocument.documentElement;
        found.width = [inner.clientWidth, inner.scrollWidth];
        """.replace("PAGE", _as_javascript(sweep_page)),
    )
    inner, needed = found["width"]
    assert (needed, found["errors"]) == (inner, [])
    assert inner <= 390


def _as_javascript(text: str) -> str:
    return json.dumps(text).replace("</", "<\\/")


def test_a_single_cell_without_timing_or_images(tmp_path: Path) -> None:
    sweep, _ = sweep_with_details(tmp_path)
    untimed = with_cell(sweep, 0, latency_s=None, timing=None, throughput_images_per_s=None)
    alone = replace(untimed, cells=untimed.cells[:1])
    found = in_page(
        sweep_report(alone, Shown()),
        """
        found.sections = all("section").map((s) => s.id);
        found.rows = all("#cells tr").length;
        """,
    )
    assert found == {"sections": ["results", "images", "environment"], "rows": 1}


@pytest.mark.slow
def test_three_hundred_cells(tmp_path: Path) -> None:
    """The browser decodes and lays out only what is in sight."""
    found = in_page(
        sweep_report(*large_sweep(tmp_path, 300)),
        """
        found.rows = all("#cells tr").length;
        input($("select[name=rows]"), "cell");
        $("select[name=columns]").value = $("select[name=tabs]").value = "none";
        $("select[name=tabs]").dispatchEvent(new Event("change", {bubbles: true}));
        found.lanes = all(".lane").length;
        const tiles = all(".tile img");
        found.few = tiles.length > 0 && tiles.length < 600;
        found.lazy = tiles.every((i) => i.loading === "lazy" && i.decoding === "async");
        found.skipped = getComputedStyle(all(".lane")[299]).contentVisibility;
        input($("#filter input"), "guidance=7.25 steps=10");
        found.filtered = all("#cells tr:not(.out)").length;
        found.left = all(".lane").length;
        """,
    )
    assert found.pop("skipped") == "auto"
    assert found == {
        "rows": 300,
        "lanes": 300,
        "few": True,
        "lazy": True,
        "filtered": 1,
        "left": 1,
    }


def test_tiles_speak_of_results_and_not_of_the_last_run(tmp_path: Path) -> None:
    sweep, shown = sweep_with_details(tmp_path)
    counts = replace(sweep.counts, done=0, reused=3)
    rows = replace(sweep.work.unet_rows, done=0)
    again = replace(sweep, counts=counts, work=replace(sweep.work, unet_rows=rows))
    first, second = sweep_page(sweep, shown), sweep_page(again, shown)
    assert first.summary == second.summary and "1 failed" in first.summary
    assert "saved" not in second.summary
    texts = [page.sections["environment"][1] for page in (first, second)]
    assert "3 done, 1 failed; 6 of 10 UNet rows, because cells shared work; took" in texts[0]
    assert "3 reused, 1 failed; took" in texts[1]


def test_settings_that_do_not_vary_are_said_once(tmp_path: Path) -> None:
    found = sweep_page(*sweep_with_details(tmp_path))
    assert "The same in every cell: model nano-turbo, " in found.summary
    assert "<dt>dtype</dt>" in found.summary and "<dt>num_inference_steps" not in found.summary
    assert "<dt>dtype</dt>" not in found.sections["environment"][1]
