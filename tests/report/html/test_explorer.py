"""Tiles of a sweep's page in a real browser: arranged, walked over, marked and compared."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.report.devtools import Tab, tab
from tests.report.pages import data_of, in_page
from tests.report.results import with_cell
from tests.report.sweeps import NASTY, sweep_with_details
from turbo_lab.report.csv import cells_csv
from turbo_lab.report.html.explorer import Shown, data_block
from turbo_lab.report.html.sweep import sweep_page, sweep_report

ERRORS = "window.errors = []; addEventListener('error', (e) => errors.push(e.message));"
FOCUS = "document.activeElement.getAttribute('aria-label')"


@pytest.fixture
def opened(sweep_page: str, tmp_path: Path) -> Iterator[Tab]:
    """The page of a small sweep in a window, its downloads in the test's folder."""
    path = tmp_path / "page.html"
    path.write_text(sweep_page, encoding="utf-8")
    with tab() as found:
        found.size(1280, 900)
        found.before_scripts(ERRORS)
        found.saves(tmp_path)
        found.open(path.as_uri())
        # Rows of images are built when they come into view.
        found.wait("document.querySelectorAll('.tile').length > 1")
        yield found
        assert found.run("errors") == []


def test_the_data_is_json_that_no_text_can_end(tmp_path: Path) -> None:
    page = sweep_page(*sweep_with_details(tmp_path))
    block = data_block(page.data)
    assert block.count("<") == 2 and block.endswith("</script>")
    found = data_of(block)
    assert found["prompts"][0] == NASTY and found["sweep_id"] == "abc"
    assert [axis["values"] for axis in found["axes"]] == [["1", "2"], ["0", "2"]]
    assert found["cells"][3]["at"] == [1, 1] and found["cells"][3]["values"][:2] == [0.8, 6.0]
    assert found["cells"][3]["images"][3]["scores"] == [pytest.approx(0.3)]


def test_equal_images_are_in_the_page_once(tmp_path: Path) -> None:
    sweep, shown = sweep_with_details(tmp_path)
    first = sweep.cells[0].images
    sweep = with_cell(sweep, 1, images=first)
    data = sweep_page(sweep, shown).data
    assert len(data.addresses) == 8
    thumbs = [[image.thumb for image in cell.images] for cell in data.cells]
    assert thumbs[0] == thumbs[1] and data.is_exact


def test_what_is_no_number_is_not_in_the_data(tmp_path: Path) -> None:
    sweep, _ = sweep_with_details(tmp_path)
    score = replace(sweep.cells[0].metrics["clip_score"], value=float("inf"))
    sweep = with_cell(sweep, 0, metrics={"clip_score": score})
    assert sweep_page(sweep, Shown()).data.cells[0].values[0] is None


def test_any_axis_goes_on_columns_rows_and_tabs(opened: Tab) -> None:
    layout = (
        "[[...document.querySelectorAll('.heads h3')].map((h) => h.textContent).filter(Boolean),"
        "[...document.querySelectorAll('.lane:not(.heads) > h3')].map((h) => h.textContent),"
        "[...document.querySelectorAll('[role=tab]')].map((t) => t.textContent),"
        "[...document.querySelectorAll('.lane:not(.heads)')].reduce("
        "(sum, lane) => sum + lane.images.length, 0)]"
    )
    prompts = [NASTY, "p <1>", "p <2>", "p <3>"]
    tabs = ["guidance 0", "guidance 2", "all"]
    # With guidance 0, the cell with two steps failed.
    assert opened.run(layout) == [["steps 1"], prompts, tabs, 4]
    opened.click("[role=tab]:nth-child(2)")
    assert opened.run(layout) == [["steps 1", "steps 2"], prompts, tabs, 8]
    opened.press("ArrowRight")
    assert opened.run("document.activeElement.textContent") == "all"
    assert opened.run(layout)[3] == 12
    opened.choose("select[name=columns]", "seed")
    opened.choose("select[name=rows]", "num_inference_steps")
    opened.choose("select[name=tabs]", "none")
    seeds = [f"seed {seed}" for seed in range(4)]
    assert opened.run(layout) == [seeds, ["steps 1", "steps 2"], [], 12]
    assert opened.run("document.querySelector('[role=tablist]').hidden") is True
    opened.choose("select[name=order]", "1i0")
    opened.run("document.querySelector('#grid').scrollIntoView()")
    opened.wait("document.querySelectorAll('.tile').length === 12")
    scores = "[...document.querySelectorAll('.tile .score')].map((s) => s.textContent)"
    # The row with the higher mean comes first, and so does the better image of a slot.
    second = "0.50 0.50 0.60 0.60 0.70 0.70 0.10 0.00"
    assert opened.run(scores) == ["0.50", "0.60", "0.70", "0.30", *second.split()]


def test_arrows_walk_and_enter_opens_and_escape_returns(opened: Tab) -> None:
    opened.choose("select[name=tabs]", "none")
    opened.run("document.querySelector('.tile').focus()")
    words = [opened.run(FOCUS)]
    for key in ("ArrowRight", "ArrowDown", "ArrowUp", "ArrowLeft"):
        opened.press(key)
        words.append(opened.run(FOCUS))
    first = f"{NASTY}, steps 1 · guidance 0, seed 0"
    assert words[0] == words[-1] == first
    assert words[1] == f"{NASTY}, steps 1 · guidance 2, seed 0"
    assert words[2].startswith("p <1>, steps 1 · guidance 2")
    opened.press("Enter")
    assert opened.run("[document.querySelector('.viewer').open, turboLab.viewed().image.seed]") == [
        True,
        0,
    ]
    opened.press("ArrowDown", "ArrowDown")
    about = opened.run("document.querySelector('.viewer .about .soft').textContent")
    assert about.startswith("steps 2 · guidance 2 · seed 0 · 64 ")
    assert about.endswith(" 64 · clip_score 0.500")
    opened.press("Escape")
    # The dialog's own event comes a moment later.
    opened.wait(f"({FOCUS} ?? '').endsWith('steps 2 · guidance 2, seed 0')")
    opened.press("?")
    assert opened.run("document.querySelector('dialog[open]').ariaLabel") == "keys"


def test_two_images_are_compared_in_four_ways(opened: Tab) -> None:
    opened.run("document.querySelector('.tile').focus()")
    opened.press("Enter", "p", "ArrowDown")
    sides = "[...document.querySelectorAll('.sides figcaption')].map((f) => f.textContent)"
    assert opened.run(sides) == ["steps 1 · guidance 0 · seed 0", "steps 1 · guidance 2 · seed 0"]
    opened.press("3")
    opened.choose(".viewer .slider", "20")
    assert opened.run("document.querySelector('.layers').style.getPropertyValue('--cut')") == "20%"
    opened.press("4")
    assert opened.run("document.querySelectorAll('.layers.blink img').length") == 2
    opened.run("document.querySelector('.viewer .close').focus()")
    opened.press("5")
    text = "document.querySelector('.between').textContent"
    opened.wait(f"{text} !== '…'")
    # Grey 0 and grey 40 in every pixel.
    assert opened.run(text).endswith(": up to 40 levels in 100% of the pixels")
    pixel = "document.querySelector('.stage canvas').getContext('2d').getImageData(9, 9, 1, 1).data"
    assert opened.run(f"[...{pixel}]") == [255, 255, 64, 255]


def test_commands_draw_the_image_and_its_cell_again(opened: Tab) -> None:
    opened.run("document.querySelectorAll('.tile')[1].focus()")
    opened.press("Enter")
    codes = "[...document.querySelectorAll('.command code')].map((c) => c.textContent)"
    commands = opened.run(codes)
    assert commands[0].startswith("turbo-lab generate 'p <1>' model=nano-turbo ")
    assert commands[0].endswith(" seed=1")
    assert commands[1] == "turbo-lab reproduce a0 store=/store"
    opened.click(".command button")
    opened.wait("document.querySelector('.command button').textContent === 'copied'")


def test_marks_are_kept_and_exported(opened: Tab) -> None:
    opened.choose("select[name=tabs]", "none")
    opened.run("document.querySelector('.tile').focus()")
    opened.press("f", "ArrowRight", "x", "ArrowRight", "f", "f")
    assert opened.run("document.querySelector('#marked').textContent") == "★ 1  ✕ 1"
    opened.choose("select[name=marks]", "favourite")
    assert opened.run("document.querySelector('#filter output').textContent") == (
        "1 of 4 cells, 1 of 12 images"
    )
    opened.click("#export")
    found = json.loads(opened.saved("selection-abc.json").read_text())
    assert (found["kind"], found["sweep_id"], found["schema"]) == ("turbo-lab-selection", "abc", 1)
    (favourite,), (reject,) = found["favourites"], found["rejects"]
    assert (favourite["cell_id"], reject["cell_id"]) == ("c0", "c1")
    assert favourite["axes"] == {"num_inference_steps": 1, "guidance_scale": 0}
    (image,) = favourite["images"]
    assert (image["prompt"], image["seed"]) == (NASTY, 0)
    opened.open(opened.run("location.href"))
    assert opened.run("document.querySelector('#marked').textContent") == "★ 1  ✕ 1"


def test_the_table_is_saved_as_csv(opened: Tab, tmp_path: Path) -> None:
    opened.click("button.csv")
    rows = list(csv.DictReader(io.StringIO(opened.saved("sweep-abc.csv").read_text())))
    expected = cells_csv(sweep_with_details(tmp_path)[0].cells)
    assert len(rows) == 4 and list(rows[0]) == next(csv.reader(io.StringIO(expected)))
    assert rows[3]["clip_score"] == "0.8"


def test_a_browser_without_storage_marks_and_says_so(sweep_page: str) -> None:
    broken = (
        "<script>Object.defineProperty(window, 'localStorage', "
        "{get() { throw new DOMException('refused', 'SecurityError'); }});</script>"
    )
    found = in_page(
        sweep_page.replace("<head>", f"<head>{broken}", 1),
        """
        $(".tile").focus();
        press($(".tile"), "f");
        found.marked = $("#marked").textContent;
        found.said = $("#notice").textContent;
        found.list = turboLab.marks.selection().favourites.length;
        """,
    )
    assert found["marked"] == "★ 1  ✕ 0" and found["list"] == 1
    assert found["said"].startswith("This browser keeps no marks for this page")


def test_points_of_a_plot_say_their_values(opened: Tab) -> None:
    opened.run("document.querySelector('#tradeoff .point[tabindex=\"0\"]').focus()")
    first = opened.run("document.querySelector('#tip').textContent")
    opened.press("ArrowRight")
    second = opened.run("document.querySelector('#tip').textContent")
    assert first != second and all("clip_score 0." in text for text in (first, second))
    assert opened.run("document.querySelector('#tip').hidden") is False


def test_a_page_says_how_many_images_it_shows(tmp_path: Path) -> None:
    sweep, shown = sweep_with_details(tmp_path)
    first = {str(cell.images[0].path) for cell in sweep.cells if cell.images}
    few = {path: picture for path, picture in shown.pictures.items() if path in first}
    found = in_page(
        sweep_report(sweep, replace(shown, pictures=few)), "found.said = $('#notice').textContent"
    )
    assert found["said"].startswith("1 of 4 images per cell are on this page")


def test_no_command_has_what_a_terminal_would_act_upon(tmp_path: Path) -> None:
    sweep, shown = sweep_with_details(tmp_path)
    images = tuple(replace(one, prompt="a\x1b[201~; b") for one in sweep.cells[0].images)
    found = in_page(
        sweep_report(with_cell(sweep, 0, images=images), shown),
        """
        $("button.tile[title^=a]").click();
        found.lines = all(".command code").map((c) => c.textContent);
        """,
    )
    assert found["lines"] == ["turbo-lab reproduce a0 store=/store"]
