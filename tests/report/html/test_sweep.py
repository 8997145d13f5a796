"""The sweep's page in a real browser: what it shows, how it answers, what it never does."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.report.browser import run_in_page
from tests.report.results import with_cell
from tests.report.sweeps import NASTY, large_sweep, sweep_with_details
from turbo_lab.report.html.sweep import sweep_report

HELPERS = """
const $ = (q) => document.querySelector(q), all = (q) => [...document.querySelectorAll(q)];
const column = (i) => [...$("#cells").rows].map((r) =>
  r.cells[i].textContent.replaceAll("\u2013", "-"));
const press = (to, key) => to.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
const input = (to, value) => {
  to.value = value; to.dispatchEvent(new Event("input", {bubbles: true}));
};
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return sweep_report(*sweep_with_details(tmp_path_factory.mktemp("images")))


def in_page(page: str, script: str) -> dict[str, Any]:
    found = run_in_page(page, HELPERS + script)
    assert found.pop("errors") == []
    return found


def test_nothing_outside_is_named(page: str) -> None:
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)", page)
    assert "url(" not in page and "@import" not in page
    assert "default-src &#x27;none&#x27;" in page


def test_figures_sort_as_numbers_and_the_best_is_marked(page: str) -> None:
    found = in_page(
        page,
        """
        const heads = all("table.figures th button");
        found.heads = heads.map((b) => b.textContent);
        found.best = all("td.best").map((c) => c.querySelector(".v").textContent);
        found.level = all("td.level").map((c) => c.querySelector(".v").textContent);
        heads[3].click();
        found.descending = column(3);
        found.said = heads[3].closest("th").getAttribute("aria-sort");
        heads[3].click();
        found.ascending = column(3);
        heads[5].click();
        found.latency = column(5);
        found.errors_shown = $(".errors").textContent;
        """,
    )
    assert found["heads"] == ["steps", "guidance", "status", "clip_score ↑", "fd/nano-clip ↓",
                              "p50 ms ↓", "images/s ↑", "peak MiB"]  # fmt: skip
    assert sorted(found["best"]) == ["0.800", "10.00", "100", "6.000"]
    # Its interval, 0.55 to 0.65, ends where the best one's begins, at 0.75: none is level.
    assert found["level"] == []
    assert found["descending"] == ["0.8000.750-0.850", "0.6000.550-0.650", "0.5000.450-0.550", "-"]
    assert found["ascending"] == [*found["descending"][2::-1], "-"]
    # 100 before 200 and 400, and the failed cell last.
    assert [text[:3] for text in found["latency"][:3]] == ["100", "200", "400"]
    assert found["said"] == "descending"
    assert "steps 2 · guidance 0: out of memory" in found["errors_shown"]


def test_one_filter_hides_rows_points_strips_and_images(page: str) -> None:
    found = in_page(
        page,
        """
        const rows = () => all("#cells tr:not([hidden])").length;
        const shown = (q) => all(q).filter((e) => getComputedStyle(e).display !== "none").length;
        const state = () => [rows(), shown("#tradeoff .point"), shown(".strip"), shown(".group"),
          $("output").textContent];
        found.before = state();
        input($("form.filter input"), "steps=1");
        found.words = state();
        input($("form.filter select[name=guidance_scale]"), "2");
        found.both = state();
        $("form.filter [type=reset]").click();
        await new Promise((done) => setTimeout(done));
        found.cleared = state();
        """,
    )
    assert found["before"] == found["cleared"] == [4, 6, 3, 4, "4"]
    assert found["words"] == [2, 4, 2, 2, "2 of 4"]
    assert found["both"] == [1, 2, 1, 1, "1 of 4"]


def test_a_prompt_with_markup_is_text(page: str) -> None:
    found = in_page(
        page,
        """
        found.caption = $(".by-cell").textContent;
        found.injected = all("img[src=x]").length;
        found.table = all("table.prompts tbody tr").map((r) => r.cells[0].textContent);
        found.key = all("dd").map((d) => d.textContent).filter((t) => t.includes("onerror")).length;
        """,
    )
    assert found["caption"] == NASTY and NASTY in found["table"]
    assert (found["injected"], found["key"]) == (0, 1)


def test_images_zoom_by_keyboard(page: str) -> None:
    found = in_page(
        page,
        """
        const dialog = $("dialog"), thumbs = all("button.thumb");
        const at = () => [dialog.open, $("dialog .about").textContent.split(" · ").slice(0, 3)];
        thumbs[0].focus(); thumbs[0].click();
        found.first = at();
        found.prompt = $("dialog .prompt").textContent;
        found.tiny = getComputedStyle($("dialog img")).imageRendering;
        found.same = $("dialog img").src === thumbs[0].querySelector("img").src;
        press(dialog, "ArrowRight"); found.right = at();
        press(dialog, "ArrowDown"); found.down = at();
        press(dialog, "ArrowUp"); press(dialog, "ArrowLeft"); press(dialog, "ArrowLeft");
        found.wrapped = at();
        // What Escape does in a browser: a dialog takes it by itself.
        found.cancelable = dialog.dispatchEvent(new Event("cancel", {cancelable: true}));
        $("dialog .close").click();
        found.closed = dialog.open;
        """,
    )
    assert found["first"] == [True, ["steps 1", "guidance 0", "seed 0"]]
    assert (found["prompt"], found["tiny"], found["same"]) == (NASTY, "pixelated", True)
    assert found["right"] == [True, ["steps 1", "guidance 0", "seed 1"]]
    assert found["down"] == [True, ["steps 1", "guidance 2", "seed 1"]]
    assert found["wrapped"] == [True, ["steps 2", "guidance 2", "seed 3"]]
    assert (found["cancelable"], found["closed"]) == (True, False)


def test_images_by_prompt_and_back(page: str) -> None:
    found = in_page(
        page,
        """
        const layout = () => all(".group").map((g) => g.querySelectorAll(".thumb").length);
        found.cells = layout();
        $("input[value=prompt]").click();
        found.prompts = layout();
        found.title = $(".group h3").textContent;
        $("input[value=cell]").click();
        found.back = layout();
        """,
    )
    assert found["cells"] == found["back"] == [4, 4, 0, 4]
    assert found["prompts"] == [3, 3, 3, 3]
    assert found["title"] == NASTY + " seed 0"


def test_both_themes_and_the_keyboard(page: str) -> None:
    found = in_page(
        page,
        """
        const colours = () => [getComputedStyle(document.body).backgroundColor,
          getComputedStyle(document.body).color];
        const before = colours();
        $(".theme").click();
        const after = colours();
        found.changed = before.every((colour, i) => colour !== after[i]);
        $(".theme").click();
        found.back = String(colours()) === String(before);
        found.focusable = all("button, input, select, a[href]").every((e) => e.tabIndex === 0);
        found.named = all("button, input, select").every(
          (e) => e.textContent.trim() || e.ariaLabel || e.closest("label"));
        found.links = all("nav a").every((a) => $(a.getAttribute("href")));
        """,
    )
    assert found == {"changed": True, "back": True, "focusable": True, "named": True, "links": True}


def test_nothing_is_wider_than_a_phone(page: str) -> None:
    # A frame has the width that it is given; a headless window has a least one of its own.
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
        """.replace("PAGE", _as_javascript(page)),
    )
    inner, needed = found["width"]
    assert (needed, found["errors"]) == (inner, [])
    assert inner <= 390


def _as_javascript(text: str) -> str:
    import json

    return json.dumps(text).replace("</", "<\\/")


def test_a_single_cell_without_timing_or_images(tmp_path: Path) -> None:
    sweep, _, _ = sweep_with_details(tmp_path)
    untimed = with_cell(sweep, 0, latency_s=None, timing=None, throughput_images_per_s=None)
    alone = replace(untimed, cells=untimed.cells[:1])
    found = in_page(
        sweep_report(alone, {}, {}),
        """
        found.sections = all("section").map((s) => s.id);
        found.rows = all("#cells tr").length;
        """,
    )
    assert found == {"sections": ["figures", "images", "environment"], "rows": 1}


@pytest.mark.slow
def test_three_hundred_cells(tmp_path: Path) -> None:
    """Built in seconds, and the browser lays out only what is in sight."""
    sweep, details, pictures = large_sweep(tmp_path, 300)
    began = time.process_time()
    page = sweep_report(sweep, details, pictures)
    assert time.process_time() - began < 5
    found = in_page(
        page,
        """
        found.rows = all("#cells tr").length;
        found.images = all(".thumb img").length;
        found.lazy = all(".thumb img").every((i) => i.loading === "lazy" && i.decoding === "async");
        found.skipped = getComputedStyle(all(".group")[299]).contentVisibility;
        input($("form.filter input"), "guidance=7.25 steps=10");
        found.filtered = all("#cells tr:not([hidden])").length;
        """,
    )
    assert found == {"rows": 300, "images": 1200, "lazy": True, "skipped": "auto", "filtered": 1}
