"""``golden reject``: a reason is required, and an anchor cannot be rejected."""

from __future__ import annotations

import pytest

from turbo_lab.cli.main import main
from turbo_lab.golden.library import GoldenLibrary


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["two-steps"], "golden reject: say why with --reason TEXT"),
        (["two-step", "--reason", "x"], "Did you mean two-steps?"),
        (["two-steps", "--reason", "x"], "this outcome is its anchor and cannot be rejected"),
    ],
)
def test_wrong_words_are_explained(
    own: GoldenLibrary, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    before = own.read("two-steps")
    assert main(["golden", "reject", *words]) == 2
    assert message in capsys.readouterr().err
    assert own.read("two-steps") == before
