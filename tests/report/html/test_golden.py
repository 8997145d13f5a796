"""Page of a golden check, in a real browser."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tests.report.browser import run_in_page
from turbo_lab.documents.golden import CheckedCase, GoldenCheck, GoldenKey, StageDifference
from turbo_lab.images import encode_png
from turbo_lab.report.html.golden import golden_page, heatmap
from turbo_lab.verdict import Verdict

NASTY = "<script>errors.push('prompt ran')</script> & \"quotes\""


def stage(name: str, relative: float) -> StageDifference:
    return StageDifference(name, relative == 0, None if relative else 0.0, relative, True)


def case(name: str, verdict: str = "regression") -> CheckedCase:
    return CheckedCase(
        name=name,
        verdict=Verdict(verdict),
        tier="T0",
        message=NASTY,
        first_divergence=stage("unet.0", 0.1) if verdict == "regression" else None,
        fingerprint_difference=(GoldenKey("torch", "2.13", "2.14"),),
        stages=(stage("noise", 0.0), stage("unet.0", 0.1), stage("latents.0", 0.2)),
        explanation="stages that differ although their inputs are the golden's: unet.0",
        fingerprints={
            "golden": {"torch": "2.13", "isa": "avx2"},
            "here": {"torch": "2.14", "isa": "avx2"},
        },
    )


def pictures(seed: int = 0) -> dict[str, bytes]:
    draws = np.random.default_rng(seed)
    first = draws.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    second = first.copy()
    second[8:24, 8:23] = 255 - second[8:24, 8:23]
    return {"expected": encode_png(first, {}), "actual": encode_png(second, {})}


def page_of(*cases: CheckedCase) -> str:
    check = GoldenCheck(Verdict.REGRESSION, cases)
    return golden_page(check, {c.name: pictures() for c in cases if c.name != "bare"})


def test_a_page_refers_to_no_other_file() -> None:
    page = page_of(case("one"))
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)", page)
    assert "http" not in re.sub(r"http-equiv", "", page)


def test_the_page_in_a_browser() -> None:
    found = run_in_page(
        page_of(case("passes", "pass"), case("one"), case("bare")),
        """
        const $ = (q) => document.querySelector(q), all = (q) => [...document.querySelectorAll(q)];
        found.names = all(".summary tbody tr").map((r) => r.cells[0].textContent);
        found.text = $("#case-one p").textContent;
        found.first = all("#case-one li.first").map((l) => l.textContent);
        found.off = all("#case-one li.off").length;
        found.explained = $("#case-one .chain + p").textContent;
        found.sideBySide = all("#case-one details tbody tr").map(
          (r) => [...r.cells].map((c) => c.textContent).join(" "));
        found.sections = all("section").length;
        const [first, , heat0] = all("#case-one figure img").map((i) => i.offsetWidth);
        found.sameWidth = first === heat0 && first > 64;
        $("#case-one button.opens").click();
        const slider = $(".viewer input.slider");
        slider.value = 20; slider.dispatchEvent(new Event("input"));
        found.cut = $(".viewer .layers").style.getPropertyValue("--cut");
        found.sides = $(".viewer .between").textContent;
        const mode = $(".viewer select");
        mode.value = "difference"; mode.dispatchEvent(new Event("change"));
        while ($(".viewer .between").textContent === "…") await new Promise((r) => setTimeout(r));
        found.apart = $(".viewer .between").textContent;
        const drawn = $(".viewer canvas").getContext("2d").getImageData(0, 0, 64, 64).data;
        const heat = document.createElement("canvas");
        heat.width = heat.height = 64;
        heat.getContext("2d").drawImage($("#case-one figure:nth-child(3) img"), 0, 0);
        const same = heat.getContext("2d").getImageData(0, 0, 64, 64).data;
        found.asStored = drawn.every((value, at) => value === same[at]);
        $(".viewer .close").click();
        const before = getComputedStyle(document.body).backgroundColor;
        $(".theme").click();
        found.themed = getComputedStyle(document.body).backgroundColor !== before;
        $(".summary th button").click();
        found.sorted = all(".summary tbody tr").map((r) => r.cells[0].textContent);
        found.focusable = all("button, input, a[href]").every((e) => e.tabIndex === 0);
        const figure = all("#case-one figcaption")[2].textContent;
        found.caption = figure.replace("difference: ", "");
        found.wide = document.documentElement.scrollWidth <= innerWidth;
        """,
    )
    assert found.pop("errors") == []
    # The script and the page say the same, in the same colours.
    assert found.pop("apart") == f"expected \N{MINUS SIGN} actual: {found.pop('caption')}"
    assert found == {
        "names": ["one", "bare", "passes"],
        "text": NASTY,
        "first": ["unet.0 1.0e-01"],
        "off": 1,
        "explained": "Stages that differ although their inputs are the golden's: unet.0",
        "sideBySide": ["torch 2.13 2.14", "isa avx2 avx2"],
        "sections": 2,
        "cut": "20%",
        "sides": "expected | actual",
        "asStored": True,
        "sameWidth": True,
        "themed": True,
        "sorted": ["bare", "one", "passes"],
        "focusable": True,
        "wide": True,
    }


def test_errors_and_refused_requests_are_seen() -> None:
    """The test above would see an error."""
    page = page_of(case("one")).replace(
        "</body>", "<img src='https://example.invalid/x.png'><script>nothing()</script></body>", 1
    )
    errors = run_in_page(page, "found.ran = true")["errors"]
    assert any("nothing is not defined" in error for error in errors)


def test_two_hundred_failing_cases() -> None:
    cases = [case(f"case {index}") for index in range(200)]
    found = run_in_page(
        page_of(*cases), "found.sections = document.querySelectorAll('section').length"
    )
    assert found == {"sections": 200, "errors": []}


def test_the_heatmap_by_hand() -> None:
    first = np.zeros((1, 3, 3), np.uint8)
    second = first.copy()
    second[0, 1], second[0, 2] = (0, 50, 0), (100, 0, 0)
    np.testing.assert_array_equal(
        heatmap(first, second)[0], [[0, 0, 0], [255, 0, 32], [255, 255, 64]]
    )


@pytest.mark.parametrize("shape", [(64, 32, 3), (32, 64, 3)])
def test_images_of_different_sizes_have_no_difference_image(shape: tuple[int, ...]) -> None:
    other = {
        "expected": pictures()["expected"],
        "actual": encode_png(np.zeros(shape, np.uint8), {}),
    }
    page = golden_page(GoldenCheck(Verdict.ERROR, (case("one", "error"),)), {"one": other})
    assert page.count("<figcaption>") == 2 and "<figcaption>difference" not in page
