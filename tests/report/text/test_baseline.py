"""A baseline that was kept, on a terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from turbo_lab.documents.results import BaselineSet
from turbo_lab.report.text.baseline import print_kept


@pytest.mark.parametrize(
    ("replaced", "remark"),
    [
        (None, ""),
        ("a" * 64, "  unchanged"),
        ("b" * 64, "  was bbbbbbbbbbbb"),
        ("damaged", "  was damaged"),
    ],
)
def test_the_digest_that_was_replaced_is_named(
    replaced: str | None, remark: str, capsys: pytest.CaptureFixture[str]
) -> None:
    print_kept(BaselineSet(Path("baselines/mine.json"), "a" * 64, replaced))
    assert capsys.readouterr().out == f"baselines/mine.json  aaaaaaaaaaaa{remark}\n"
