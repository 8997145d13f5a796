"""The prompt of ``generate``."""

from __future__ import annotations

import pytest

from turbo_lab.cli.prompt import split_prompt
from turbo_lab.errors import InputError


@pytest.mark.parametrize(
    ("words", "prompt", "rest"),
    [
        (["a red apple", "seed=1"], "a red apple", ["seed=1"]),
        (["e=mc2", "seed=1"], "e=mc2", ["seed=1"]),
        (["prompts=scenes-demo"], None, ["prompts=scenes-demo"]),
        (["--cfg=job"], None, ["--cfg=job"]),
    ],
)
def test_the_first_word_is_a_prompt_unless_it_is_a_key(
    words: list[str], prompt: str | None, rest: list[str]
) -> None:
    assert split_prompt(words) == (prompt, rest)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give a prompt"),
        (["seed=1"], "give a prompt"),
        (["a", "prompt=b"], "two prompts given"),
        ([""], "the prompt is empty"),
    ],
)
def test_one_prompt_is_required(words: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        split_prompt(words)
