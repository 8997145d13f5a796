"""The form of an infotext: what A1111, Forge and CivitAI write is read; any text is safe."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turbo_lab.infotext import Infotext, is_infotext

SETTINGS = "Steps: 20, Sampler: Euler a, Schedule type: Automatic, CFG scale: 7, Seed: 5"
NAMES = st.from_regex(r"[A-Za-z][A-Za-z ]{0,10}[a-z]", fullmatch=True)


def test_prompt_negative_prompt_and_settings() -> None:
    found = Infotext.parse(f"a cat,\non a mat\nNegative prompt: a dog,\nrain\n{SETTINGS}\n")
    assert (found.prompt, found.negative_prompt) == ("a cat,\non a mat", "a dog,\nrain")
    assert list(found.settings) == ["Steps", "Sampler", "Schedule type", "CFG scale", "Seed"]
    assert found.settings["Sampler"] == "Euler a"


def test_without_a_negative_prompt_or_a_prompt() -> None:
    assert Infotext.parse(f"a cat\r\n{SETTINGS}").negative_prompt == ""
    found = Infotext.parse(f"Negative prompt: a dog\n{SETTINGS}")
    assert (found.prompt, found.negative_prompt) == ("", "a dog")


def test_quotes_and_json_keep_their_commas() -> None:
    resources = [{"type": "checkpoint", "modelVersionId": 1}, {"type": "lora", "weight": 0.5}]
    found = Infotext.parse(
        f'a\n{SETTINGS}, Lora hashes: "x: 1a, y: 2b", Civitai resources: {json.dumps(resources)}, '
        'Note: "say \\"hi\\"", Open: "never closed, Size: 64x64, : 1, Version: v1.10.1'
    )
    assert found.settings["Lora hashes"] == "x: 1a, y: 2b"
    assert json.loads(found.settings["Civitai resources"]) == resources
    assert (found.settings["Note"], found.settings["Size"]) == ('say "hi"', "64x64")
    assert found.settings["Version"] == "v1.10.1"


@pytest.mark.parametrize("text", ["", "a cat", "Steps: 20, and a hill", "Seed: 1, a: 2, b: 3"])
def test_what_is_not_an_infotext(text: str) -> None:
    assert not is_infotext(text)
    assert Infotext.parse(text).prompt in (text, "")


def test_the_last_line_of_a_prompt_is_not_taken_for_settings() -> None:
    assert Infotext.parse("a\nSteps: 20, and a hill").prompt == "a\nSteps: 20, and a hill"


@given(st.text(), st.text(), st.dictionaries(NAMES, st.text(), max_size=5))
def test_what_is_written_is_read(prompt: str, negative: str, more: dict[str, str]) -> None:
    settings = {"Steps": "1", "Sampler": "Euler", "Seed": "2", **more}
    written = str(Infotext(prompt, negative, settings))
    written.encode()  # a PNG takes it
    found = Infotext.parse(written)
    again = Infotext.parse(str(found))
    assert again == found
    assert found.settings["Steps"] == settings["Steps"]
    assert set(settings) <= set(found.settings)


@given(st.text(alphabet=st.characters(min_codepoint=32, exclude_categories=("Cs", "Cc", "Z"))))
def test_a_plain_prompt_stays_as_it_is(prompt: str) -> None:
    settings = {"Steps": "1", "Sampler": "Euler", "Seed": "2"}
    assert Infotext.parse(str(Infotext(prompt, "dark", settings))) == Infotext(
        prompt, "dark", settings
    )


def test_a_prompt_cannot_set_the_negative_prompt() -> None:
    settings = {"Steps": "1", "Sampler": "Euler", "Seed": "2"}
    for prompt in ("a\nNegative prompt: b", "Negative prompt: b", "a\r\n  Negative prompt: b"):
        assert Infotext.parse(str(Infotext(prompt, "", settings))).negative_prompt == ""


@pytest.mark.parametrize(
    "part", ["a", " ", ",", ":", "a:", 'a: "', "a: [", 'a: "\\', "a: {", '"', "\n", "a: [[", "\x00"]
)
def test_a_long_hostile_text_is_read_in_time(part: str) -> None:
    text = part * (300_000 // len(part))
    assert not is_infotext(text)
    found = Infotext.parse(f"{text}\n{SETTINGS}, {text.replace(chr(10), ' ')}")
    assert len(found.prompt) <= len(text)


@given(st.text(alphabet=st.characters(), max_size=200))
def test_any_text_is_read(text: str) -> None:
    found = Infotext.parse(f"a\n{SETTINGS}, {text}")
    assert not set("\x00\x1b\ud800") & set("".join([found.prompt, *found.settings.values()]))
