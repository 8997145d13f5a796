"""Files and digests of a checkpoint; what is said of files that are absent or wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.cards.checkpoints import SINGLE_FILE, local, lora
from turbo_lab.cards import (
    locate,
    model_card,
)
from turbo_lab.errors import InputError, MissingFilesError
from turbo_lab.identity import hash_file


def test_a_local_folder(tiny_sdxl_dir: Path) -> None:
    files = locate(local(tiny_sdxl_dir))
    assert files.path == tiny_sdxl_dir
    assert files.scheduler["_class_name"] == "EulerAncestralDiscreteScheduler"
    assert (files.has_time_cond, files.force_zeros, files.resolution) == (False, True, 64)
    assert {"unet", "vae", "text_encoder", "text_encoder_2", "tokenizer"} <= set(files.components)
    assert "unet/diffusion_pytorch_model.safetensors" in files.files
    assert not any(name.startswith(("scheduler", "README")) for name in files.files)


def test_the_digest_is_by_content(copy: Path, tiny_sdxl_dir: Path) -> None:
    before = locate(local(tiny_sdxl_dir)).digest
    assert locate(local(copy)).digest == before
    (copy / "README.md").write_text("about")
    (copy / "_tokenizer" / "vocab.json").write_text("{}")
    assert locate(local(copy)).digest == before
    config = copy / "scheduler" / "scheduler_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"steps_offset": 1}))
    assert locate(local(copy)).digest == before, "the recipe names the scheduler itself"
    unet = copy / "unet" / "config.json"
    unet.write_text(json.dumps(json.loads(unet.read_text()) | {"time_cond_proj_dim": 32}))
    changed = locate(local(copy))
    assert changed.digest != before and changed.has_time_cond


def test_force_zeros_is_part_of_the_digest(copy: Path, tiny_sdxl_dir: Path) -> None:
    index = copy / "model_index.json"
    values = json.loads(index.read_text()) | {"force_zeros_for_empty_prompt": False}
    index.write_text(json.dumps(values))
    files = locate(local(copy))
    assert not files.force_zeros
    assert files.digest != locate(local(tiny_sdxl_dir)).digest


def test_a_variant_loads_under_plain_names(copy: Path, tiny_sdxl_dir: Path) -> None:
    for path in list(copy.rglob("*.safetensors")):
        path.rename(path.with_name(path.name.replace(".safetensors", ".fp16.safetensors")))
    for variant in (None, "fp16"):
        files = locate(local(copy, variant=variant))
        assert files.path != copy
        assert (files.path / "unet" / "diffusion_pytorch_model.safetensors").is_file()
        assert files.digest == locate(local(tiny_sdxl_dir)).digest
    with pytest.raises(MissingFilesError, match="variant=bf16: .* choose one of plain, fp16"):
        locate(local(copy, variant="bf16"))
    with pytest.raises(MissingFilesError, match="does not exist; there is fp16: set model.variant"):
        locate(local(copy, variant="plain"))


def test_plain_files_are_taken_next_to_variants(copy: Path, tiny_sdxl_dir: Path) -> None:
    whole = copy / "unet" / "diffusion_pytorch_model.safetensors"
    for mark in ("fp16", "non_ema"):
        other = {"conv_in.weight": np.zeros((1,), np.float32)}
        save_file(other, whole.with_name(f"diffusion_pytorch_model.{mark}.safetensors"))
    for variant in (None, "plain"):
        assert locate(local(copy, variant=variant)).digest == locate(local(tiny_sdxl_dir)).digest
    # A component without the variant keeps its plain file, as diffusers has it.
    files = locate(local(copy, variant="fp16"))
    assert files.components["vae"] == locate(local(tiny_sdxl_dir)).components["vae"]
    assert files.components["unet"] != locate(local(tiny_sdxl_dir)).components["unet"]
    whole.unlink()
    with pytest.raises(InputError, match=r"holds fp16, non_ema; choose one: model.variant=fp16"):
        locate(local(copy))


def test_shards_count_one_by_one(copy: Path) -> None:
    whole = copy / "unet" / "diffusion_pytorch_model.safetensors"
    shard = whole.with_name("diffusion_pytorch_model-00001-of-00002.safetensors")
    whole.rename(shard)
    index = whole.with_name("diffusion_pytorch_model.safetensors.index.json")
    index.write_text(json.dumps({"weight_map": {"a": shard.name}}))
    assert f"unet/{shard.name}" in locate(local(copy)).files
    index.write_text(json.dumps({"weight_map": {"a": shard.name, "b": "gone.safetensors"}}))
    with pytest.raises(MissingFilesError, match=r"gone.safetensors does not exist \(named by"):
        locate(local(copy))


def test_pickled_weights_are_refused(copy: Path, tmp_path: Path) -> None:
    whole = copy / "unet" / "diffusion_pytorch_model.safetensors"
    whole.rename(whole.with_suffix(".bin"))
    with pytest.raises(InputError, match="holds only pickled weights .*safetensors only"):
        locate(local(copy))
    checkpoint = tmp_path / "model.ckpt"
    checkpoint.write_bytes(b"")
    with pytest.raises(InputError, match="must be a .safetensors file or a diffusers folder"):
        locate(local(checkpoint))


def test_absent_and_foreign_folders(tmp_path: Path) -> None:
    with pytest.raises(MissingFilesError, match="does not exist"):
        locate(local(tmp_path / "none"))
    with pytest.raises(InputError, match="has no model_index.json; name a diffusers folder"):
        locate(local(tmp_path))


def test_a_single_file_is_its_weights_and_the_configs_it_is_loaded_with(
    tiny_sdxl_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    file = lora(tmp_path / "a.safetensors", SINGLE_FILE)
    with pytest.raises(MissingFilesError, match='hf download .*base-1.0 .*--include "\\*.txt"'):
        locate(local(file))
    home = tmp_path / "cache" / "models--stabilityai--stable-diffusion-xl-base-1.0"
    snapshot = home / "snapshots" / str(model_card("sdxl-base").revision)
    shutil.copytree(
        tiny_sdxl_dir, snapshot, ignore=shutil.ignore_patterns("*.safetensors", "scheduler")
    )
    one = locate(local(file))
    two = locate(local(lora(tmp_path / "b.safetensors", SINGLE_FILE)))
    assert one.digest == two.digest, "the file's name is not its content"
    assert one.scheduler["_class_name"] == "EulerDiscreteScheduler"
    assert one.resolution is None
    assert one.checkpoint_sha256 == hash_file(file)
    assert locate(local(tiny_sdxl_dir)).checkpoint_sha256 is None
    config = snapshot / "unet" / "config.json"
    config.write_text(config.read_text() + " ")
    assert locate(local(file)).digest != one.digest
