"""The packaged reference's own recipe."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from experiments.nano import reference


def test_scenes_without_their_icons_say_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reference, "ICONS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["reference"])
    with pytest.raises(SystemExit) as exit_:
        reference.main()
    assert exit_.value.code == 2
    assert "run `bash experiments/nano/fetch_icons.sh` first" in capsys.readouterr().err
