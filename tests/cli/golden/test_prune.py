"""``golden prune``: an orphan fails a check until it is removed."""

from __future__ import annotations

import shutil

import pytest

from tests.cli.golden.conftest import Document
from turbo_lab.cli.main import main
from turbo_lab.golden.library import GoldenLibrary


def test_an_orphan_fails_until_it_is_pruned(own: GoldenLibrary, document: Document) -> None:
    shutil.copytree(own.root / "two-steps", own.root / "stray")
    code, values = document("check")
    assert (code, values["cases"][-1]["name"]) == (4, "stray")
    code, values = document("prune")
    assert (code, values["removed"]) == (0, ["stray"])
    assert not (own.root / "stray").exists()
    assert document("check")[0] == 0


def test_a_name_is_refused(own: GoldenLibrary, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["golden", "prune", "two-steps"]) == 2
    assert "unexpected extra argument (two-steps)" in capsys.readouterr().err


def test_nothing_to_prune_is_said(own: GoldenLibrary, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["golden", "prune"]) == 0
    assert capsys.readouterr().out == "nothing to remove: every golden belongs to a case\n"
