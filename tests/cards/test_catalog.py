"""``turbo-lab models verify``: weights that changed under the old digest."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from turbo_lab.cli.main import main
from turbo_lab.identity import DigestCache


def test_verify_names_the_file_and_says_what_follows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TURBO_LAB_CACHE", str(tmp_path / "cache"))
    weights = tmp_path / "unet.safetensors"
    weights.write_bytes(b"one")
    DigestCache().file(weights)
    assert main(["models", "verify"]) == 0
    assert capsys.readouterr().out == "1 of 1 files match their recorded digests\n"
    stat = weights.stat()
    weights.write_bytes(b"two")
    os.utime(weights, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert main(["models", "verify"]) == 3
    said = capsys.readouterr().out
    assert f"changed  {weights}" in said and "under the old digest" in said
    assert main(["models", "verify", "--json"]) == 0  # known by its bytes from now on
    assert json.loads(capsys.readouterr().out)["changed"] == []
