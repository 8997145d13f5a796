"""Pipeline keys: presets, what each adds to a recipe, and what is refused before loading."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
import yaml

from tests.request.requests import GOOD
from turbo_lab import config, environment
from turbo_lab.cards import conf_dir
from turbo_lab.cards.conf import ConfigNode
from turbo_lab.environment import Gpu
from turbo_lab.errors import InputError
from turbo_lab.request.pipeline import CHOICES, PipelineKeys
from turbo_lab.request.request import Request

PRESETS = {
    path.stem: yaml.safe_load(path.read_text()) for path in (conf_dir() / "pipeline").glob("*.yaml")
}


def keys(device: str = "cpu", preset: str = "stock", **own: Any) -> PipelineKeys:
    """The keys of a preset on a device, with the user's own on top."""
    return PipelineKeys.from_config(ConfigNode({"pipeline": PRESETS[preset], **own}), device)


def refusal(device: str, dtype: str = "float32", has_lora: bool = False, **own: Any) -> str:
    with pytest.raises(InputError) as caught:
        keys(device, **own).check(device, dtype, has_lora)
    text = str(caught.value)
    assert "\n" not in text and "; " in text, "one line, with the remedy"
    return text


def test_the_default_preset_adds_nothing_to_a_recipe() -> None:
    assert keys().variant() == keys("cuda").variant() == {}


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_every_preset_can_run_on_its_device(preset: str, device: str) -> None:
    found = keys(device, preset)
    found.check(device, "float16", has_lora=True)
    assert PipelineKeys.from_variant(found.variant()) == found


def test_a_key_of_the_user_takes_precedence_over_the_preset() -> None:
    assert keys("cuda", "exact").variant() == {"graphs": "cuda", "loop": "exact"}
    assert keys("cuda", "exact", graphs="none").variant() == {"loop": "exact"}
    assert keys("cpu", "exact").variant() == {"loop": "exact"}


def test_every_key_is_an_axis_and_every_value_makes_another_recipe() -> None:
    names = {key.name for key in fields(PipelineKeys)}
    assert {*names, "pipeline"} <= {*config.AXES}
    for name in names:
        default = getattr(PipelineKeys(), name)
        for value in CHOICES.get(name, (True, False)):
            compiled = {"compile": "default"} if name == "compile_scope" else {}
            found = keys(**{**compiled, name: value})
            assert (name in found.variant()) == (value != default)
            assert PipelineKeys.from_variant(found.variant()) == found


def test_a_scope_without_compilation_is_no_other_recipe() -> None:
    assert keys(compile_scope="unet+vae").variant() == {}


def test_quantisation_is_read_back_without_its_version() -> None:
    found = PipelineKeys.from_variant({"quantization": "int8wo torchao 0.18.0", "vae": "b" * 64})
    assert found == PipelineKeys(quantization="int8wo")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("graphs", "gpu", "graphs=gpu: unknown. Valid: cuda, none"),
        ("compile", "max-autotun", "compile=max-autotun: unknown. Did you mean max-autotune?"),
        ("fuse_qkv", "yes", "fuse_qkv=yes: must be true or false"),
        ("vae_tiling", 1, "vae_tiling=1: must be true or false"),
    ],
)
def test_a_wrong_value_is_refused(key: str, value: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        Request.from_config(GOOD | {key: value})
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("own", "start"),
    [
        ({"graphs": "cuda", "loop": "exact"}, "graphs=cuda: this is a CPU; use graphs=none"),
        ({"offload": "model"}, "offload=model: this is a CPU"),
        ({"attention": "efficient"}, "attention=efficient: a CPU has flash and math only"),
        ({"tf32": "convolutions"}, "tf32=convolutions: this is a CPU, which has no TF32"),
        ({"quantization": "float8dq"}, "quantization=float8dq: needs a GPU of compute capability"),
    ],
)
def test_what_a_cpu_cannot_do_is_refused(own: dict[str, Any], start: str) -> None:
    assert refusal("cpu", **own).startswith(start)


@pytest.mark.parametrize(
    ("own", "start"),
    [
        ({"graphs": "cuda"}, "graphs=cuda: the stock loop waits for the host"),
        (
            {"graphs": "cuda", "loop": "exact", "compile": "max-autotune"},
            "graphs=cuda: compile=max-autotune already uses CUDA graphs",
        ),
        ({"offload": "model", "loop": "exact"}, "offload=model: loop=exact needs all weights"),
        ({"offload": "model", "compile": "default"}, "offload=model: compiled code would hold"),
        (
            {"offload": "sequential", "quantization": "int8wo"},
            "offload=sequential: torchao's weights cannot be moved",
        ),
        ({"quantization": "int8dq"}, "quantization=int8dq: some 20 times slower on a GPU"),
        ({"attention": "flash"}, "attention=flash: takes float16 and bfloat16 on a GPU"),
    ],
)
def test_what_excludes_each_other_is_refused(own: dict[str, Any], start: str) -> None:
    assert refusal("cuda", **own).startswith(start)


def test_fused_projections_exclude_a_lora() -> None:
    assert refusal("cpu", has_lora=True, fuse_qkv=True).startswith("fuse_qkv=true: fused")
    with pytest.raises(InputError, match="fuse_qkv=true: fused projections would ignore the LoRA"):
        Request.from_config(GOOD | {"fuse_qkv": True, "lora": "flat@0.5"})
    assert Request.from_config(GOOD | {"fuse_qkv": True, "lora": "flat@0"}).pipeline.fuse_qkv


def test_what_the_card_lacks_names_the_card(monkeypatch: pytest.MonkeyPatch) -> None:
    own = {"quantization": "float8dq", "compile": "default"}
    a100 = Gpu("NVIDIA A100", "8.0", "570", 1)
    monkeypatch.setattr(environment, "read_gpu", lambda: a100)
    assert "NVIDIA A100 has no float8 products (compute capability 8.0" in refusal("cuda", **own)
    v100 = Gpu("NVIDIA V100", "7.0", "570", 1)
    monkeypatch.setattr(environment, "read_gpu", lambda: v100)
    assert "NVIDIA V100 has no TF32 (compute capability 7.0" in refusal("cuda", tf32="all")
    keys("cuda", tf32="none").check("cuda", "float16")
    monkeypatch.setattr(environment, "read_gpu", lambda: Gpu("NVIDIA H100", "9.0", "570", 1))
    keys("cuda", **own).check("cuda", "float16")
