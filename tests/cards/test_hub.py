"""The local Hugging Face cache: what is there, what is absent, and which commit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.cards.checkpoints import PAIR, lora
from turbo_lab.cards import (
    locate,
    locate_adapter,
    model_card,
    pin_revision,
)
from turbo_lab.cards.hub import cache_dir
from turbo_lab.errors import InputError, MissingFilesError


def test_absent_hub_files_say_what_to_get() -> None:
    with pytest.raises(MissingFilesError) as caught:
        locate(model_card("sdxl-turbo"))
    text = str(caught.value)
    assert "hf download stabilityai/sdxl-turbo --revision 71153311d3db" in text
    assert "sai-nc-community" in text and "downloads nothing" in text
    with pytest.raises(MissingFilesError, match="hf download latent-consistency/lcm-lora-sdxl py"):
        locate_adapter("lcm-lora-sdxl")


def test_the_cache_is_read_by_revision(
    tiny_sdxl_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    card = model_card("sdxl-turbo")
    assert card.revision
    snapshots = tmp_path / "models--stabilityai--sdxl-turbo" / "snapshots"
    shutil.copytree(tiny_sdxl_dir, snapshots / ("0" * 40))
    with pytest.raises(MissingFilesError):
        locate(card)
    shutil.copytree(tiny_sdxl_dir, snapshots / card.revision)
    files = locate(card)
    assert files.revision == card.revision
    assert files.path == snapshots / card.revision
    (files.path / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(MissingFilesError, match="does not exist; run: hf download"):
        locate(card)


def test_a_revision_left_open_is_that_of_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    home = tmp_path / "models--latent-consistency--lcm-lora-sdxl"
    lora(home / "snapshots" / ("a" * 40) / "pytorch_lora_weights.safetensors", PAIR)
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text("a" * 40)
    assert locate_adapter("lcm-lora-sdxl").revision == "a" * 40


def test_a_download_by_commit_leaves_no_refs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    snapshots = tmp_path / "models--latent-consistency--lcm-lora-sdxl" / "snapshots"
    lora(snapshots / ("a" * 40) / "pytorch_lora_weights.safetensors", PAIR)
    (snapshots / "unfinished").mkdir()
    assert locate_adapter("lcm-lora-sdxl").revision == "a" * 40
    (snapshots / ("b" * 40)).mkdir()
    with pytest.raises(InputError, match=r"holds 2 commits and no refs/main .*a{40}, b{40}"):
        locate_adapter("lcm-lora-sdxl")


def test_the_cache_folder_is_the_one_of_the_hub_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_CACHE")
    monkeypatch.setenv("HF_HOME", "/x")
    assert cache_dir() == Path("/x/hub")


def test_a_pinned_revision_does_not_change_silently(tmp_path: Path) -> None:
    lock = tmp_path / "store" / "revisions.json"
    pin_revision(lock, "a/b", "1" * 40)
    pin_revision(lock, "a/c", "2" * 40)
    pin_revision(lock, "a/b", "1" * 40)
    with pytest.raises(InputError, match="a/b was at revision 1+ when it was first used here"):
        pin_revision(lock, "a/b", "3" * 40)
    assert json.loads(lock.read_text()) == {"a/b": "1" * 40, "a/c": "2" * 40}
