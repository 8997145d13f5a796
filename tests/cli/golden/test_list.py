"""``golden list``: every case, with or without a golden."""

from __future__ import annotations

from tests.cli.golden.conftest import Document
from turbo_lab.golden.library import GoldenLibrary


def test_cases_are_listed_with_their_acceptance(own: GoldenLibrary, document: Document) -> None:
    own.write_cases(own.cases() | {"new": ("seed=1",)})
    code, values = document("list")
    rows = {row["name"]: row for row in values["goldens"]}
    assert code == 0 and values["root"] == str(own.root)
    assert (rows["two-steps"]["accepted_by"], rows["two-steps"]["reason"]) == ("tests", "first")
    assert rows["two-steps"]["outcome"] == own.read("two-steps").outcome
    assert (rows["new"]["outcome"], rows["new"]["reason"]) == (None, None)
    assert rows["new"]["overrides"] == ["seed=1"]
