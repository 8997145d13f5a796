"""The packaged family assembles into plain folders, known by their content."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from turbo_lab.cards import (
    assemble,
    locate,
    model_card,
    read_packaged_card,
)
from turbo_lab.cards.packaged import VaeShape, kind_word, packaged_names, read_vae_shape
from turbo_lab.errors import TurboLabError


def test_assembling_gives_a_plain_folder(packaged_weights: Path) -> None:
    files = locate(model_card("nano-turbo"))
    assert files.path == assemble("nano-turbo") == assemble("nano-turbo")
    assert (files.path / "vae" / "config.json").stat().st_nlink > 1
    assert files.license == "Apache-2.0"


def test_a_stock_pipeline_loads_it(packaged_weights: Path) -> None:
    from diffusers import StableDiffusionXLPipeline

    pipeline = StableDiffusionXLPipeline.from_pretrained(
        str(assemble("nano-turbo")), use_safetensors=True, local_files_only=True
    )
    assert pipeline.scheduler.config.timestep_spacing == "trailing"


def test_lcm_on_the_same_weights_has_the_same_digest(packaged_weights: Path) -> None:
    config = packaged_weights / "nano-lcm" / "scheduler" / "scheduler_config.json"
    config.write_text(json.dumps({"_class_name": "LCMScheduler"}))
    lcm, sdxl = locate(model_card("nano-lcm")), locate(model_card("nano-sdxl"))
    assert lcm.digest == sdxl.digest
    assert lcm.scheduler["_class_name"] == "LCMScheduler"
    assert lcm.path != sdxl.path


def test_new_weights_are_another_folder(packaged_weights: Path) -> None:
    before = assemble("nano-turbo")
    stored = packaged_weights / "nano-turbo" / "unet" / "config.json"
    old = stored.read_text()
    stored.write_text(old + " ")  # in place: the hard link in `before` follows
    after = assemble("nano-turbo")
    assert after != before
    stored.unlink()
    stored.write_text(old)
    assert assemble("nano-turbo") == before
    assert (before / "unet" / "config.json").read_text() == old


def test_many_may_assemble_at_once(packaged_weights: Path, tmp_path: Path) -> None:
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(assemble("nano-sdxl"))) for _ in "1234"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and len(set(found)) == 1
    assert not list(found[0].parent.glob(".nano-sdxl-*"))


def test_an_unwritable_cache_is_one_line(
    packaged_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("TURBO_LAB_CACHE", str(blocked / "cache"))
    with pytest.raises(TurboLabError, match="cannot be written .*set TURBO_LAB_CACHE to a folder"):
        locate(model_card("nano-turbo"))


def test_the_shape_of_a_vae_is_that_of_its_config() -> None:
    shapes = {
        name: read_vae_shape(read_packaged_card(name)) for name in ("nano-lcm", "lcm-sdxl-shape")
    }
    assert shapes["nano-lcm"] == VaeShape(width=32, force_upcast=False)
    assert shapes["lcm-sdxl-shape"] == VaeShape(width=128, force_upcast=True)


def test_no_kind_is_shown_by_a_retired_word() -> None:
    kinds = {read_packaged_card(name).kind for name in packaged_names()}
    assert {kind_word(kind) for kind in kinds} >= {"pipeline", "extractor", "vae", "text"}
    assert "judge" not in map(kind_word, kinds)
