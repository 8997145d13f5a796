"""``turbo-lab export``: what it says, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.report.results import store_with_sweeps
from turbo_lab.cli.main import main
from turbo_lab.store.store import Store


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store with one sweep and its images."""
    monkeypatch.chdir(tmp_path)
    return store_with_sweeps(tmp_path / "turbo-lab-store", "abc123")


def test_a_sweep_is_exported(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "abc", "out"]) == 0
    assert capsys.readouterr().out == f"exported        {Path('out').resolve()} (12 images)\n"
    assert main(["export", "abc", "again", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["kind"], document["images"]) == ("export", 12)
    assert json.loads(Path("again/sweep.json").read_text())["sweep_id"] == "abc123"


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["abc"], "export: name a sweep and a folder"),
        (["xyz", "out"], "sweep=xyz: unknown"),
        (["abc", "."], ".: exists already; name a new folder"),
        (["abc", "out", "stor=x"], "key=stor: unknown. Did you mean store?"),
    ],
)
def test_what_cannot_be_exported(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", *words]) == 2
    assert message in capsys.readouterr().err
    assert not Path("out").exists()


def test_missing_images_are_said(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    next(iter((store.root / "batches").glob("*.png"))).unlink()
    assert main(["export", "abc", "out"]) == 3
    assert "1 images not found; pass store=DIR if the store was moved" in capsys.readouterr().err
