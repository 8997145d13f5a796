"""Cards, files, digests and headers; what is said of files that are absent or wrong."""

from __future__ import annotations

import json
import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from turbo_lab.cards import (
    adapter_card,
    adapter_names,
    assemble,
    check_adapter_fits,
    conf_dir,
    locate,
    locate_adapter,
    model_card,
    model_card_from_config,
    model_names,
    pin_revision,
)
from turbo_lab.cards.hub import cache_dir
from turbo_lab.errors import InputError, MissingFilesError, StoreError
from turbo_lab.workflows import catalog

# One tensor for each part of a checkpoint in the names of SDXL's original code.
SINGLE_FILE = {
    "model.diffusion_model.input_blocks.0.0.weight": (8, 4, 3, 3),
    "model.diffusion_model.label_emb.0.0.weight": (8, 16),
    "first_stage_model.decoder.conv_in.weight": (8, 4, 3, 3),
    "conditioner.embedders.0.transformer.text_model.final_layer_norm.weight": (8,),
    "conditioner.embedders.1.model.ln_final.weight": (8,),
}
TO_Q = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"


def local(where: Path, **changes: Any) -> Any:
    """A card for a folder or file of the user's."""
    import yaml

    values = yaml.safe_load((conf_dir() / "model" / "local.yaml").read_text())
    return model_card_from_config(values | {"path": str(where)} | changes)


def lora(path: Path, shapes: dict[str, tuple[int, ...]]) -> Path:
    """A LoRA file of zeros."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: np.zeros(shape, np.float32) for key, shape in shapes.items()}, path)
    return path


@pytest.fixture
def copy(tiny_sdxl_dir: Path, tmp_path: Path) -> Path:
    """A checkpoint that a test may change."""
    return shutil.copytree(tiny_sdxl_dir, tmp_path / "copy")


# Cards


@pytest.mark.parametrize("name", ["nano-turbo", "nano-sdxl", "nano-lcm", "sdxl-turbo", "sdxl-base"])
def test_every_card_is_valid(name: str) -> None:
    card = model_card(name)
    assert card.name == name
    assert card.license and card.license_source
    assert card.recommended.num_inference_steps >= 1


def test_all_cards_can_be_read() -> None:
    assert {"lcm-lora-sdxl", "local"} <= set(model_names())
    for name in set(model_names()) - {"local"}:
        card = model_card(name)
        assert card.adapter is None or card.adapter in adapter_names()
        assert card.base is None or card.base in model_names()
    for name in adapter_names():
        assert adapter_card(name).base in model_names()


def test_revisions_and_licences_of_the_hub_cards() -> None:
    turbo = model_card("sdxl-turbo")
    assert turbo.revision == "71153311d3dbb46851df1931d3ca6e939de83304"
    assert "sai-nc-community" in turbo.license and "Apache" not in turbo.license
    assert model_card("sdxl-base").revision == "462165984030d82259a11f4367a4eed129e94a7b"
    assert adapter_card("lcm-lora-sdxl").revision is None


def test_an_unknown_model_names_the_nearest() -> None:
    with pytest.raises(InputError, match=r"model=nano-turb: unknown. Did you mean nano-turbo\?"):
        model_card("nano-turb")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"revision": "main"}, "revision=main: must be the 40 hex digits of a commit, or null"),
        ({"source": "web"}, "source=web: unknown"),
        ({"source": "hub"}, "source=hub needs a repository, as OWNER/NAME"),
        ({"path": None}, "model=local: needs model.path=FOLDER_OR_FILE"),
        ({"scheduler": "Euler"}, "model.scheduler=Euler: must be a mapping of keys and values"),
        ({"licence": "x"}, "key=licence: unknown. Did you mean license?"),
    ],
)
def test_wrong_cards(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        local(Path("x"), **changes)
    assert message in str(caught.value)


# Files


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
    with pytest.raises(MissingFilesError, match=r"is missing; there is fp16: set model.variant="):
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
    with pytest.raises(InputError, match=r"holds fp16, non_ema; say which: model.variant=fp16"):
        locate(local(copy))


def test_shards_count_one_by_one(copy: Path) -> None:
    whole = copy / "unet" / "diffusion_pytorch_model.safetensors"
    shard = whole.with_name("diffusion_pytorch_model-00001-of-00002.safetensors")
    whole.rename(shard)
    index = whole.with_name("diffusion_pytorch_model.safetensors.index.json")
    index.write_text(json.dumps({"weight_map": {"a": shard.name}}))
    assert f"unet/{shard.name}" in locate(local(copy)).files
    index.write_text(json.dumps({"weight_map": {"a": shard.name, "b": "gone.safetensors"}}))
    with pytest.raises(MissingFilesError, match=r"gone.safetensors is missing \(named by"):
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
    with pytest.raises(MissingFilesError, match="there is no such folder or file"):
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
    config = snapshot / "unet" / "config.json"
    config.write_text(config.read_text() + " ")
    assert locate(local(file)).digest != one.digest


# The Hugging Face cache


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
    with pytest.raises(MissingFilesError, match="is missing; run: hf download"):
        locate(card)


def test_a_revision_left_open_is_that_of_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    home = tmp_path / "models--latent-consistency--lcm-lora-sdxl"
    lora(home / "snapshots" / ("a" * 40) / "pytorch_lora_weights.safetensors", {"x": (1, 1)})
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text("a" * 40)
    assert locate_adapter("lcm-lora-sdxl").revision == "a" * 40


def test_a_download_by_commit_leaves_no_refs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    snapshots = tmp_path / "models--latent-consistency--lcm-lora-sdxl" / "snapshots"
    lora(snapshots / ("a" * 40) / "pytorch_lora_weights.safetensors", {"x": (1, 1)})
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


# The packaged family


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
    with pytest.raises(StoreError, match="cannot be used .*set TURBO_LAB_CACHE to a folder"):
        locate(model_card("nano-turbo"))


# Adapters


def test_adapters_by_name_and_path(packaged_weights: Path, tmp_path: Path) -> None:
    shapes = {f"unet.{TO_Q}.lora_A.weight": (4, 32), f"unet.{TO_Q}.lora_B.weight": (32, 4)}
    path = lora(packaged_weights / "flat" / "pytorch_lora_weights.safetensors", shapes)
    by_name, by_folder = locate_adapter("flat"), locate_adapter(str(path.parent))
    assert by_name.path == by_folder.path == path
    assert by_name.digest == by_folder.digest
    assert by_name.modules == {TO_Q: (4, 32, 32)}
    assert (by_name.base, by_folder.base) == ("nano-sdxl", None)
    check_adapter_fits(by_name, locate(model_card("nano-turbo")))


@pytest.mark.parametrize(
    ("names", "fits"),
    [
        (("unet.{}.lora_A.weight", "unet.{}.lora_B.weight"), True),
        (("unet.{}.lora.down.weight", "unet.{}.lora.up.weight"), True),
        (("lora_unet_{_}.lora_down.weight", "lora_unet_{_}.lora_up.weight"), True),
        (("text_encoder.{}.lora_A.weight", "text_encoder.{}.lora_B.weight"), False),
        (("base.{}.down", "base.{}.up"), False),
    ],
)
def test_naming_schemes(tmp_path: Path, names: tuple[str, str], fits: bool) -> None:
    keys = [n.replace("{}", TO_Q).replace("{_}", TO_Q.replace(".", "_")) for n in names]
    path = lora(tmp_path / "a.safetensors", {keys[0]: (4, 32), keys[1]: (48, 4)})
    assert list(locate_adapter(str(path)).modules.values()) == ([(4, 32, 48)] if fits else [])


@pytest.mark.parametrize(
    ("module", "width", "problem"),
    [
        (TO_Q, 640, f"{TO_Q} is 640x640 in the LoRA and 32x32 in the model"),
        (f"mid_{TO_Q}", 32, f"adapts mid_{TO_Q}, which this model does not have"),
    ],
)
def test_a_lora_for_another_architecture(
    tiny_sdxl_dir: Path, tmp_path: Path, module: str, width: int, problem: str
) -> None:
    shapes = {
        f"unet.{module}.lora_A.weight": (4, width),
        f"unet.{module}.lora_B.weight": (width, 4),
    }
    adapter = locate_adapter(str(lora(tmp_path / "big.safetensors", shapes)))
    with pytest.raises(InputError) as caught:
        check_adapter_fits(adapter, locate(local(tiny_sdxl_dir)))
    assert f"is for another architecture than model=local: {problem}" in str(caught.value)
    trained = replace(adapter, base="sdxl-base")
    with pytest.raises(InputError, match=r"\(it was trained on sdxl-base\)"):
        check_adapter_fits(trained, locate(local(tiny_sdxl_dir)))


def test_what_peft_saves_fits(tiny_sdxl_dir: Path, tmp_path: Path) -> None:
    from diffusers import StableDiffusionXLPipeline, UNet2DConditionModel
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    unet = UNet2DConditionModel.from_pretrained(str(tiny_sdxl_dir / "unet"))
    targets = ["to_q", "to_k", "to_v", "to_out.0", "conv1", "conv2", "proj_in", "ff.net.0.proj"]
    unet.add_adapter(LoraConfig(r=4, target_modules=targets))
    StableDiffusionXLPipeline.save_lora_weights(
        str(tmp_path), unet_lora_layers=get_peft_model_state_dict(unet), safe_serialization=True
    )
    adapter = locate_adapter(str(tmp_path))
    assert len(adapter.modules) > 20
    check_adapter_fits(adapter, locate(local(tiny_sdxl_dir)))


def test_wrong_adapters(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"lora=flatt: unknown. Did you mean flat\?"):
        locate_adapter("flatt")
    with pytest.raises(MissingFilesError, match="there is no such file or folder"):
        locate_adapter(str(tmp_path / "none.safetensors"))
    with pytest.raises(MissingFilesError, match="has no pytorch_lora_weights.safetensors"):
        locate_adapter(str(tmp_path))
    pickled = tmp_path / "a.bin"
    pickled.write_bytes(b"x")
    with pytest.raises(InputError, match="must be a .safetensors file"):
        locate_adapter(str(pickled))
    for text in (b"", b"12345678", b"\x02\0\0\0\0\0\0\0[]", b"\x09\0\0\0\0\0\0\0{\xff"):
        broken = tmp_path / "a.safetensors"
        broken.write_bytes(text)
        with pytest.raises(InputError, match="is not a safetensors file|is cut off"):
            locate_adapter(str(broken))


# models list and show


def test_list_says_what_is_ready(packaged_weights: Path) -> None:
    status = {(row.kind, row.name): row.status for row in catalog.list_models()}
    assert status["pipeline", "nano-turbo"] == "ready"
    assert status["pipeline", "sdxl-turbo"] == status["adapter", "flat"] == "missing"
    assert status["pipeline", "local"] == "needs a path"


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
