"""Prompts with the images of two sides."""

from __future__ import annotations

from turbo_lab.report.html.pairs import prompt_pairs
from turbo_lab.report.html.pictures import Picture

SMALL, LARGE = (Picture(b"png", "image/png", edge, edge) for edge in (64, 512))


def test_small_images_keep_hard_pixels_and_a_missing_one_is_left_out() -> None:
    pictures = {"candidate": {"a cat": SMALL, "a <dog>": LARGE}, "baseline": {"a cat": SMALL}}
    page = prompt_pairs([("a cat", 0.25), ("a <dog>", -0.5)], ("candidate", "baseline"), pictures)
    assert page.count("<img") == 3 and page.count('class="tiny"') == 2
    assert "a cat <b>+0.250</b>" in page and "a &lt;dog&gt; <b>-0.500</b>" in page
