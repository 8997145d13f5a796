"""Images of a sweep's page, in a real browser."""

from __future__ import annotations

from tests.report.pages import in_page
from tests.report.sweeps import NASTY


def test_images_zoom_by_keyboard(sweep_page: str) -> None:
    found = in_page(
        sweep_page,
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


def test_images_by_prompt_and_back(sweep_page: str) -> None:
    found = in_page(
        sweep_page,
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
