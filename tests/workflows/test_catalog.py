"""``models list``, ``show`` and ``verify``: what is ready, and what has changed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from turbo_lab.cards import (
    model_card,
)
from turbo_lab.cli.main import main
from turbo_lab.errors import InputError
from turbo_lab.identity import DigestCache
from turbo_lab.workflows import catalog


def test_list_says_what_is_ready(packaged_weights: Path) -> None:
    status = {(row.kind, row.name): row.status for row in catalog.list_models()}
    assert status["pipeline", "nano-turbo"] == "ready"
    assert status["pipeline", "sdxl-turbo"] == status["adapter", "flat"] == "missing"
    assert status["pipeline", "local"] == "needs a path"


def test_vaes_of_the_hub_are_listed_and_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    rows = {row.name: row for row in catalog.list_models()}
    assert rows["taesdxl"].kind == "vae" and rows["taesdxl"].status == "missing"
    shown = catalog.show_model("taesdxl")
    assert (shown.kind, shown.license, shown.base) == ("vae", "mit", None)
    assert "turbo-lab models get taesdxl" in str(shown.missing)


def test_show(packaged_weights: Path) -> None:
    shown = catalog.show_model("nano-turbo")
    assert shown.path is not None and shown.path.is_dir()
    assert shown.license == "Apache-2.0" and shown.revision is None
    assert shown.digest is not None and len(shown.digest) == 64
    assert shown.size_bytes is not None and shown.size_bytes > 0
    assert shown.trained_on == "nothing" and shown.parameters == 1
    absent = catalog.show_model("sdxl-turbo")
    assert absent.path is None and absent.digest is None
    assert absent.revision == model_card("sdxl-turbo").revision
    assert absent.missing is not None and "hf download" in absent.missing
    with pytest.raises(InputError, match=r"model=nano: unknown"):
        catalog.show_model("nano")


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
