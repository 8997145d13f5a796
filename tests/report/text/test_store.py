"""Damage, disk use and garbage of a store, on a terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from turbo_lab.documents.store import StoreUsage, StoreVerified
from turbo_lab.report.text.store import print_collected, print_usage, print_verified
from turbo_lab.store.maintenance import Damage, Garbage, Usage

STORE = Path("lab")
REMOVE = "remove them     turbo-lab store verify --remove-damaged store=lab"
AGAIN = "run the same sweep again: it makes what is missing, and nothing else"


@pytest.mark.parametrize(
    ("removed", "damaged", "last"),
    [
        ((), (), "lab: sound"),
        (
            (),
            (Damage(Path("a"), "cut off", True),),
            REMOVE,
        ),
        (
            (),
            (Damage(Path("a"), "missing", False),),
            AGAIN,
        ),
        (
            (Damage(Path("a"), "cut off", True),),
            (),
            AGAIN,
        ),
    ],
)
def test_damage_comes_with_its_remedy(
    removed: tuple[Damage, ...],
    damaged: tuple[Damage, ...],
    last: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_verified(StoreVerified(STORE, removed, damaged))
    assert capsys.readouterr().out.splitlines()[-1] == last


def test_each_kind_and_model_has_its_size(capsys: pytest.CaptureFixture[str]) -> None:
    models = (Usage("a" * 64, "nano-turbo", 2, 3_000_000), Usage("b" * 64, None, 1, 500_000))
    print_usage(StoreUsage(STORE, (Usage("batches", None, 3, 3_500_000),), models))
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows == [
        ["batches", "3", "files", "3.5", "MB"],
        ["model", "nano-turbo", "2", "files", "3.0", "MB"],
        ["model", "bbbbbbbbbbbb", "1", "files", "0.5", "MB"],
    ]


def test_a_dry_run_says_would(capsys: pytest.CaptureFixture[str]) -> None:
    found = [Garbage(Path("tmp/a"), "unfinished", 2_000_000)]
    print_collected(found, is_dry_run=True)
    assert capsys.readouterr().out == (
        "would remove  tmp/a: unfinished\n1 would be removed, 2.0 MB\n"
    )
    print_collected(found, is_dry_run=False)
    assert capsys.readouterr().out == "removed  tmp/a: unfinished\n1 removed, 2.0 MB\n"
    print_collected([], is_dry_run=False)
    assert capsys.readouterr().out == "nothing to remove\n"
