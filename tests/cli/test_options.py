"""Keys of commands that compose no config."""

from __future__ import annotations

from pathlib import Path

import pytest

from turbo_lab.cli.options import take_keys
from turbo_lab.errors import InputError


def test_known_keys_are_taken_and_names_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a=b").touch()
    words = ["x", "store=s=1", "a=b", "Odd-Name=1"]
    assert take_keys(words, "store") == (["x", "a=b", "Odd-Name=1"], {"store": "s=1"})
    with pytest.raises(InputError, match="key=stor: unknown. Did you mean store?"):
        take_keys(["stor=1"], "store")
