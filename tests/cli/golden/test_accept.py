"""``golden accept``: a reason is required, and what is kept of the golden before."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.golden.conftest import Document
from turbo_lab.cli.main import main
from turbo_lab.golden.library import GoldenLibrary


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["two-steps"], "name the cases and say why"),
        (["--reason", "x"], "name the cases and say why"),
        (["two-step", "--reason", "x"], "Did you mean two-steps?"),
        (["two-steps", "--reason", "x", "--expires", "2020-01-01"], "has passed"),
        (["two-steps", "--reason", "x", "--expires", "soon"], "such as 2027"),
    ],
)
def test_wrong_words_are_explained(
    in_folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main(["golden", "accept", *words]) == 2
    assert message in capsys.readouterr().err


def test_accepting_the_same_outcome_keeps_the_parent(
    own: GoldenLibrary, document: Document
) -> None:
    before = own.read("two-steps")
    code, values = document("accept", "two-steps", "--reason", "a test", "--processes", "0")
    assert (code, values["accepted"][0]["parent"]) == (0, before.parent)
    after = own.read("two-steps")
    assert (after.outcome, after.parent) == (before.outcome, before.parent)
    assert after.accepted[0].reason == "a test"
    assert document("check", "two-steps")[0] == 0


def test_the_terminal_says_what_became_of_the_golden(
    own: GoldenLibrary, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["golden", "accept", "two-steps", "--reason", "a test", "--processes", "0"]
    assert main(words) == 0
    assert "is the golden; it has no predecessor" in capsys.readouterr().out
    assert main([*words, "--expires", "2999-12-31"]) == 0
    assert "accepted until 2999-12-31; the golden stays" in capsys.readouterr().out
