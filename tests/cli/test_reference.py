"""The words of ``turbo-lab reference build``."""

from __future__ import annotations

from pathlib import Path

import pytest

from turbo_lab.cli.main import main


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in the working directory, with a file that is refused later than all words."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "0.png").touch()
    return tmp_path / "photos"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "usage: reference build FOLDER"),
        (("photos", "more"), "usage: reference build FOLDER"),
        (("nowhere",), "reference build nowhere: is not a folder"),
        (("photos", "--output", "r.npz"), "--output r.npz: must end in .safetensors"),
        (("photos", "--output", "there.safetensors"), "there.safetensors: exists; remove it"),
        (("photos", "metrics.extractor=nowhere"), "metrics.extractor=nowhere: unknown"),
    ],
)
def test_wrong_words(
    arguments: tuple[str, ...], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder.parent / "there.safetensors").touch()
    assert main(["reference", "build", *arguments]) == 2
    assert message in capsys.readouterr().err
