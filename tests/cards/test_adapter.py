"""LoRAs by name and path; one that does not fit is refused from its header."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cards.checkpoints import TO_Q, local, lora, pair
from turbo_lab.cards import (
    check_adapter_fits,
    locate,
    locate_adapter,
    model_card,
)
from turbo_lab.errors import InputError, MissingFilesError


def test_adapters_by_name_and_path(packaged_weights: Path, tmp_path: Path) -> None:
    shapes = {f"unet.{TO_Q}.lora_A.weight": (4, 32), f"unet.{TO_Q}.lora_B.weight": (32, 4)}
    path = lora(packaged_weights / "flat" / "pytorch_lora_weights.safetensors", shapes)
    by_name, by_folder = locate_adapter("flat"), locate_adapter(str(path.parent))
    assert by_name.path == by_folder.path == path
    assert by_name.digest == by_folder.digest
    assert [(one.module, one.rank, one.widths) for one in by_name.layers] == [(TO_Q, 4, (32, 32))]
    assert (by_name.base, by_folder.base) == ("nano-sdxl", None)
    check_adapter_fits(by_name, locate(model_card("nano-turbo")))


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
    assert len(adapter.layers) > 20
    check_adapter_fits(adapter, locate(local(tiny_sdxl_dir)))


def test_wrong_adapters(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"lora=flatt: unknown. Did you mean flat\?"):
        locate_adapter("flatt")
    with pytest.raises(MissingFilesError, match="does not exist"):
        locate_adapter(str(tmp_path / "none.safetensors"))
    with pytest.raises(MissingFilesError, match=r"has no pytorch_lora_weights\S+ or adapter_model"):
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


def test_the_folder_of_peft(tmp_path: Path) -> None:
    shapes = pair(f"base_model.model.{TO_Q}.lora_A.weight", width=96)
    path = lora(tmp_path / "adapter_model.safetensors", shapes)
    alone = locate_adapter(str(path))
    assert alone.assumption is not None and "its alpha is taken to be its rank" in alone.assumption
    config = tmp_path / "adapter_config.json"
    config.write_text(json.dumps({"peft_type": "LORA", "r": 4, "lora_alpha": 8}))
    found = locate_adapter(str(tmp_path))
    assert found.path == path and found.assumption is None
    assert found.digest != alone.digest, "alpha scales it"
    check_adapter_fits(found, locate(model_card("nano-turbo")))
    config.write_text(json.dumps({"peft_type": "LOHA"}))
    with pytest.raises(InputError, match="is 'LOHA', which diffusers does not load"):
        locate_adapter(str(tmp_path))


def test_the_only_file_of_a_folder(tmp_path: Path) -> None:
    path = lora(tmp_path / "style (v2).safetensors", pair("lora_unet_x.lora_down.weight"))
    assert locate_adapter(str(tmp_path)).path == path
    lora(tmp_path / "other.safetensors", pair("lora_unet_x.lora_down.weight"))
    with pytest.raises(MissingFilesError, match="name one of its 2 files"):
        locate_adapter(str(tmp_path))


def test_damaged_metadata_is_refused(tmp_path: Path) -> None:
    shapes, key = pair("unet.x.lora_A.weight"), "lora_adapter_metadata"
    path = lora(tmp_path / "a.safetensors", shapes, {key: "[]"})
    with pytest.raises(InputError, match="its lora_adapter_metadata is not a JSON object"):
        locate_adapter(str(path))


KEY = f"unet.{TO_Q}.lora_A.weight"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"alpha_pattern": {"([a-z_.0-9]+)+X": 8}}, "is not the name of a layer"),
        ({"alpha_pattern": {".*.*.*.*": 8}}, "is not the name of a layer, with at most 3 times"),
        ({"alpha_pattern": ["to_q"]}, "alpha_pattern must be an object"),
        ({"alpha_pattern": {"to_q": "x"}}, "'x' is not a number"),
        ({"lora_alpha": [4]}, "'[4]' is not a number"),
        ({"lora_alpha": "inf"}, "'inf' is not a number"),
    ],
)
def test_a_config_of_peft_that_would_hang_or_crash_is_refused(
    tmp_path: Path, config: dict[str, object], message: str
) -> None:
    own = lora(tmp_path / "adapter_model.safetensors", pair(KEY))
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    flat = {f"unet.{key}": value for key, value in config.items()}
    other = lora(tmp_path / "b.safetensors", pair(KEY), {"lora_adapter_metadata": json.dumps(flat)})
    for path in (own, other):
        with pytest.raises(InputError) as refused:
            locate_adapter(str(path))
        assert message in str(refused.value)


def test_patterns_that_peft_writes_pass(tmp_path: Path) -> None:
    path = lora(tmp_path / "adapter_model.safetensors", pair(KEY))
    pattern = {"to_q": 8, "^down_blocks.0.attentions.1": 4, r".*to_out\.0$": 2.5}
    config = {"lora_alpha": 4, "alpha_pattern": pattern}
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    locate_adapter(str(path))
