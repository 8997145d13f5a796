"""Page of a comparison, in a real browser."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.report.browser import run_in_page
from tests.report.comparisons import NASTY, compare_report, several_entrants, with_energy
from turbo_lab.compare.published import published_tables
from turbo_lab.documents.compare import SourceImages
from turbo_lab.images import encode_png
from turbo_lab.report.html.compare import compare_page
from turbo_lab.report.html.pictures import Picture


def test_contenders_front_and_prompts_with_their_images() -> None:
    picture = Picture(encode_png(np.zeros((64, 64, 3), np.uint8), {}), "image/png", 64, 64)
    pictures = {side: {NASTY: picture} for side in ("fast 1 steps", "slow 4 steps")}
    found = run_in_page(
        compare_page(compare_report(), pictures),
        """
        const all = (q) => [...document.querySelectorAll(q)];
        found.best = all("td.best .v").map((v) => v.textContent);
        found.front = all(".point.front").map((p) => p.dataset.cell);
        found.bars = all(".interval .bar").length;
        found.pairs = all(".pair").map((p) => p.querySelectorAll("img").length);
        found.prompt = document.querySelector(".pair p").textContent;
        found.injected = all("img[src=x]").length;
        document.querySelector(".pair button").click();
        found.viewer = [document.querySelector(".viewer").open,
          document.querySelector(".viewer .prompt").textContent,
          document.querySelector(".viewer .between").textContent];
        document.querySelector(".viewer .close").click();
        found.tips = all(".point").map((p) => p.dataset.tip.split(":")[0]);
        """,
    )
    assert found == {
        "viewer": [True, NASTY, "fast 1 steps | slow 4 steps"],
        "tips": ["slow 4 steps", "fast 1 steps"],
        "errors": [],
        "best": ["0.900", "100"],
        "front": ["0"],
        "bars": 1,
        # The second prompt has no images, so only its text is shown.
        "pairs": [2, 0],
        "prompt": f"{NASTY} +0.200",
        "injected": 0,
    }


def test_the_source_images_of_all_contenders_are_named() -> None:
    sources = SourceImages(image="<b>photos", strength=0.5, names={"1" * 64: "boat.png"})
    page = compare_page(replace(compare_report(), sources=sources), {})
    assert "all begin from &lt;b&gt;photos at strength 0.5: boat.png." in page
    assert "begin from" not in compare_page(compare_report(), {})


def test_several_entrants_have_one_table_and_failures_say_why() -> None:
    found = run_in_page(
        compare_page(several_entrants(), {}),
        """
        const rows = [...document.querySelectorAll("#entrants tbody tr")];
        found.rows = rows.map((row) => row.cells[0].textContent + ": " + row.cells[1].textContent);
        found.why = document.querySelector("#entrants .errors").textContent;
        """,
    )
    assert found == {
        "errors": [],
        "rows": ["base 1 step: -", "dtype=x: 41.25", "quantization=float8dq: failed"],
        "why": "failed: quantization=float8dq: needs | a GPU",
    }
    assert 'id="entrants"' not in compare_page(compare_report(), {})


def test_energy_is_a_column_if_it_was_measured() -> None:
    assert "J/image" not in compare_page(compare_report(), {})
    page = compare_page(with_energy(compare_report()), {})
    assert "J/image" in page and "12.3" in page


def test_published_values_have_a_section_if_asked_for() -> None:
    page = compare_page(replace(compare_report(), published=published_tables()), {})
    assert page.count("<h3>apt-coco-5k</h3>") == 1 and 'id="published"' in page
    assert 'id="published"' not in compare_page(compare_report(), {})
