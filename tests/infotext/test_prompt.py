"""The prompt syntax of A1111: what is left of it as plain words, and what is said about it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turbo_lab.infotext.prompt import Network, escaped, network_name, plain_prompt


@pytest.mark.parametrize(
    ("prompt", "words", "dropped"),
    [
        ("a cat", "a cat", 0),
        ("(a cat:1.2), ((big)) [red]", "a cat, big red", 1),
        (r"a \(cat\) \[x\] \\", r"a (cat) [x] \ ".strip(), 0),
        ("a [cat:dog:0.5] [hat:0.3] [tail::4]", "a cat hat tail", 1),
        ("a [red|blue|green] hat", "a red hat", 1),
        ("a cat BREAK a mat", "a cat a mat", 1),
        ("a cat AND a dog", "a cat a dog", 1),
        ("and a BREAKFAST: eggs", "and a BREAKFAST: eggs", 0),
        ("([a:b:0.5]:1.3) BREAK (c)", "a c", 3),
        (":) (", ":", 1),
    ],
)
def test_words_and_what_is_dropped(prompt: str, words: str, dropped: int) -> None:
    found = plain_prompt(prompt)
    assert (found.text, len(found.dropped)) == (words, dropped)


def test_networks() -> None:
    found = plain_prompt("a cat, <lora:my style:0.8> <LORA:x_y:0.5:0.7:lbw=OUT>, <hypernet:h:1>")
    assert found.text == "a cat"
    assert found.networks == (
        Network("lora", "my style", ("0.8",)),
        Network("lora", "x_y", ("0.5", "0.7", "lbw=OUT")),
        Network("hypernet", "h", ("1",)),
    )


@given(st.text(alphabet=r"ab \()[]:|0.5,"))
def test_a_plain_prompt_comes_back(text: str) -> None:
    found = plain_prompt(escaped(text))
    assert (found.text, found.dropped) == (text.strip(), ())


@given(st.text())
def test_any_prompt_is_read(text: str) -> None:
    plain_prompt(text)
    assert not set(':<>,"\n') & set(network_name(text))


@pytest.mark.parametrize("part", ["(", "[", "<a:", "<", "[a:", "[a|", " ", ":1", "\\", "a BREAK"])
def test_a_long_hostile_prompt_is_read_in_time(part: str) -> None:
    assert len(plain_prompt(part * (100_000 // len(part))).text) <= 100_000
