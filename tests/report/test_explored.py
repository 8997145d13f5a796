"""From a sweep to its page, from the page to a selection, and from that to a sweep again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.contract.shapes import differences, unreached
from tests.report.devtools import tab
from turbo_lab.cli.main import main

CONTRACT = json.loads((Path(__file__).parents[1] / "contract" / "documents.json").read_text())
PLAIN = ("num_threads=1", "timing=off", "tracking=none")
GRID = ("num_inference_steps=1,2", "guidance_scale=0,2", "num_images=4", "prompts=scenes-demo")


@pytest.fixture
def sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> dict[str, Any]:
    """A real sweep of four cells, and its page in ``report.html``."""
    monkeypatch.chdir(tmp_path)
    assert main(["sweep", *GRID, *PLAIN, "metrics.names=clip_score", "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert main(["report", found["sweep_id"]]) == 0
    capsys.readouterr()
    return found


def choose_two(name: str, folder: Path) -> dict[str, Any]:
    """Arrange, filter, mark and export as a person does; return what the page saved."""
    with tab() as page:
        page.size(1280, 900)
        page.before_scripts("window.errors=[];addEventListener('error',e=>errors.push(e.message))")
        page.saves(folder)
        page.open((folder / "report.html").as_uri())
        page.choose("select[name=columns]", "guidance_scale")
        page.choose("select[name=rows]", "num_inference_steps")
        page.choose("select[name=tabs]", "prompt")
        lanes = "[...document.querySelectorAll('.lane:not(.heads) > h3')].map((h) => h.textContent)"
        assert page.run(lanes) == ["steps 1", "steps 2"]
        page.choose("#filter select[name='axis:0']", "1")
        assert page.run(lanes) == ["steps 2"]
        page.run("document.querySelector('.tile').focus()")
        page.press("f", "ArrowRight", "x")
        page.click("#filter [type=reset]")
        page.wait("document.querySelectorAll('.lane:not(.heads)').length === 2")
        # By the large view this time: the same prompt and seed with one step.
        page.run("document.querySelector('.tile').focus()")
        page.press("Enter", "ArrowDown", "f", "Escape")
        assert page.run("document.querySelector('#marked').textContent") == "★ 2  ✕ 1"
        page.click("#export")
        found: dict[str, Any] = json.loads(page.saved(name).read_text())
        assert name in page.run("document.querySelector('#notice').textContent")
        assert page.run("errors") == []
        return found


def test_favourites_of_a_page_are_run_again(
    sweep: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"selection-{sweep['sweep_id'][:12]}.json"
    selection = choose_two(name, tmp_path)
    contract = CONTRACT["turbo-lab-selection"]
    assert differences(selection, contract) == [] and unreached([selection], contract) == set()
    cells = {cell["cell_id"]: cell for cell in sweep["cells"]}
    chosen = [cells[one["cell_id"]]["axes"] for one in selection["favourites"]]
    assert chosen == [
        {"num_inference_steps": 1, "guidance_scale": 2},
        {"num_inference_steps": 2, "guidance_scale": 0},
    ]
    (image,) = selection["favourites"][0]["images"]
    assert image["pixel_sha256"] in [i["pixel_sha256"] for i in sweep["cells"][1]["images"]]
    assert main(["sweep", f"cells={name}", *PLAIN, "metrics=none", "--json"]) == 0
    same = json.loads(capsys.readouterr().out)
    assert [cell["cell_id"] for cell in same["cells"]] == [
        one["cell_id"] for one in selection["favourites"]
    ]
    assert same["counts"]["reused"] == 2
    assert main(["sweep", f"cells={name}", "num_images=8", *PLAIN, "metrics=none", "--json"]) == 0
    more = json.loads(capsys.readouterr().out)
    assert [cell["axes"] for cell in more["cells"]] == chosen
    assert [len(cell["images"]) for cell in more["cells"]] == [8, 8]
