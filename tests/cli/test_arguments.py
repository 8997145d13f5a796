"""What a command line says, read alike by every command."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turbo_lab.cli.arguments import unicode_words, whole_number
from turbo_lab.errors import InputError


@given(st.integers(0, 10**9), st.integers(0, 10))
def test_a_number_is_itself_or_refused(value: int, least: int) -> None:
    if value >= least:
        assert whole_number(str(value), "--processes", least) == value
    else:
        with pytest.raises(InputError, match=f"must be an integer, at least {least}"):
            whole_number(str(value), "--processes", least)


@pytest.mark.parametrize("text", ["", "-1", "1.0", "1e3", "²", "two", " "])
def test_what_is_no_number_is_named(text: str) -> None:
    with pytest.raises(InputError, match="num_threads="):
        whole_number(text, "num_threads", 1)


def test_a_word_with_half_of_a_character_is_refused() -> None:
    assert unicode_words(("a", "\udcff")) == ["a", "\udcff"]  # a byte that is not UTF-8
    with pytest.raises(InputError, match=r"'\\ud800': is not valid Unicode"):
        unicode_words(["a", "\ud800"])
