"""LoRAs in every spelling on the model that ships: they act as they should, and come off."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from peft import LoraConfig, get_peft_model
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors.torch import load_file, save_file

from tests.original_names import unet_module
from turbo_lab.cards import check_adapter_fits, locate, locate_adapter, model_card
from turbo_lab.errors import InputError
from turbo_lab.identity import canonical_json
from turbo_lab.runtime import lora
from turbo_lab.runtime.pipeline import load_pipeline

PARTS = ("unet", "text_encoder", "text_encoder_2")
TO_Q = "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
Tensors = dict[str, torch.Tensor]
Changes = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def pipeline() -> StableDiffusionXLPipeline:
    files = locate(model_card("nano-turbo"))
    scheduler = canonical_json(dict(files.scheduler))
    return load_pipeline(files.source, scheduler, "float32", torch.device("cpu"))


@pytest.fixture(scope="module")
def flat() -> Tensors:
    """The style that ships, module by module, without the parts' prefix."""
    tensors = load_file(locate_adapter("flat").path)
    return {name.removeprefix("unet."): value for name, value in tensors.items()}


@pytest.fixture(scope="module")
def wanted(pipeline: StableDiffusionXLPipeline) -> Changes:
    return changes(pipeline, locate_adapter("flat").path)


@pytest.fixture(autouse=True)
def comes_off_exactly(pipeline: StableDiffusionXLPipeline) -> Iterator[None]:
    """After each test the weights are the very ones that were loaded."""
    before = state(pipeline)
    yield
    after = state(pipeline)
    assert after.keys() == before.keys()
    assert [name for name in before if not torch.equal(before[name], after[name])] == []


def state(pipeline: StableDiffusionXLPipeline) -> Tensors:
    return {
        f"{part}.{name}": value.clone()
        for part in PARTS
        for name, value in getattr(pipeline, part).state_dict().items()
    }


def changes(pipeline: StableDiffusionXLPipeline, path: Path | str, weight: float = 1.0) -> Changes:
    """What a LoRA adds to each weight, once it is on; it is taken off again."""
    files = locate_adapter(str(path))
    check_adapter_fits(files, locate(model_card("nano-turbo")))
    lora.put_on(pipeline, [(files.name, files.path, weight)])
    found = {
        f"{part}.{name}": module.get_delta_weight("a0").detach().clone()
        for part in PARTS
        for name, module in getattr(pipeline, part).named_modules()
        if isinstance(module, BaseTunerLayer)
    }
    before = [module.get_base_layer().weight for module in adapted(pipeline)]
    assert lora.relative_changes(pipeline, [files.name], {}) == pytest.approx(
        {files.name: norm(found.values()) / norm(before)}, rel=1e-5
    )
    lora.take_off(pipeline)
    return found


def adapted(pipeline: StableDiffusionXLPipeline) -> list[Any]:
    modules = (one for part in PARTS for one in getattr(pipeline, part).modules())
    return [one for one in modules if isinstance(one, BaseTunerLayer)]


def norm(tensors: Iterable[torch.Tensor]) -> float:
    """The Frobenius norm of all of them together."""
    return sum(float(one.double().norm()) ** 2 for one in tensors) ** 0.5


def assert_same(found: Changes, wanted: Changes) -> None:
    assert found.keys() == wanted.keys()
    assert [name for name in wanted if not torch.equal(found[name], wanted[name])] == []


def save(path: Path, tensors: Mapping[str, torch.Tensor]) -> Path:
    save_file({name: value.clone().contiguous() for name, value in tensors.items()}, path)
    return path


def kohya(flat: Tensors, name: Callable[[str], str], alpha: float | None = None) -> Tensors:
    """The style under kohya's names; ``alpha``: of every layer, in ranks."""
    made = {}
    for key, down in flat.items():
        if ".lora_A." in key:
            module = key.split(".lora_A.")[0]
            stem = "lora_unet_" + name(module).replace(".", "_")
            made[f"{stem}.lora_down.weight"] = down
            made[f"{stem}.lora_up.weight"] = flat[key.replace("lora_A", "lora_B")]
            if alpha is not None:
                made[f"{stem}.alpha"] = torch.tensor(alpha * down.shape[0])
    return made


def original(module: str) -> str:
    return unet_module(module, 1, {0, 1})


def of_2023(flat: Tensors, prefix: str) -> Tensors:
    made = {}
    for key, value in flat.items():
        half = ".down.weight" if ".lora_A." in key else ".up.weight"
        module = re.split(r"\.lora_[AB]\.", key)[0]
        module = re.sub(r"(attn[12])\.(to_[qkv]|to_out)(\.0)?$", r"\1.processor.\2_lora", module)
        made[prefix + module + ("" if module.endswith("_lora") else ".lora") + half] = value
    return made


def with_zero_rows(name: str, value: torch.Tensor) -> torch.Tensor:
    """Twice the rank, and the same product."""
    return torch.cat([value, torch.zeros_like(value)], dim=int("lora_B" in name))


FORMATS: dict[str, Callable[[Tensors], Tensors]] = {
    "kohya": lambda flat: kohya(flat, str, 1.0),
    "kohya without alpha": lambda flat: kohya(flat, str),
    "kohya, names of SDXL's original code": lambda flat: kohya(flat, original, 1.0),
    "diffusers of 2023": lambda flat: of_2023(flat, "unet."),
    "diffusers of 2023 without prefix": lambda flat: of_2023(flat, ""),
    "peft": lambda flat: {f"base_model.model.{k}": v for k, v in flat.items()},
    "an adapter's name left in": lambda flat: {
        f"unet.{k}".replace(".weight", ".default_0.weight"): v for k, v in flat.items()
    },
    "ComfyUI": lambda flat: {f"diffusion_model.{k}": v for k, v in flat.items()},
    "two ranks": lambda flat: {
        f"unet.{k}": torch.cat([v, torch.zeros_like(v)], dim=int("lora_B" in k))
        if "attn" in k
        else v
        for k, v in flat.items()
    },
}


@pytest.mark.parametrize("name", FORMATS)
def test_the_same_lora_in_every_spelling(
    pipeline: StableDiffusionXLPipeline, flat: Tensors, wanted: Changes, name: str, tmp_path: Path
) -> None:
    path = save(tmp_path / "a.safetensors", FORMATS[name](flat))
    assert_same(changes(pipeline, path), wanted)


def test_names_with_spaces_and_parentheses(
    pipeline: StableDiffusionXLPipeline, flat: Tensors, wanted: Changes, tmp_path: Path
) -> None:
    path = save(tmp_path / "Detail Tweaker (XL) +1@2.safetensors", kohya(flat, str, 1.0))
    assert_same(changes(pipeline, path), wanted)


def test_weight_and_alpha_scale_alike(
    pipeline: StableDiffusionXLPipeline, flat: Tensors, tmp_path: Path
) -> None:
    half = save(tmp_path / "half.safetensors", kohya(flat, str, 0.5))
    at_half = changes(pipeline, locate_adapter("flat").path, 0.5)
    assert_same(changes(pipeline, half), at_half)


def test_each_layer_has_its_own_alpha(
    pipeline: StableDiffusionXLPipeline, flat: Tensors, wanted: Changes, tmp_path: Path
) -> None:
    """diffusers' converter gives attention layers the most common one."""
    tensors, factors = kohya(flat, str, 1.0), {}
    for index, name in enumerate(sorted(k for k in tensors if k.endswith(".alpha"))):
        factors[name.removesuffix(".alpha")] = 2.0 ** (index % 3)
        tensors[name] = tensors[name] * 2.0 ** (index % 3)
    found = changes(pipeline, save(tmp_path / "a.safetensors", tensors))
    scaled = {
        name: value * factors["lora_" + name.replace(".", "_")] for name, value in wanted.items()
    }
    assert_same(found, scaled)


def test_text_encoders_in_part(pipeline: StableDiffusionXLPipeline, tmp_path: Path) -> None:
    """Alone, in layers that diffusers' converter does not take, and with alphas of their own."""
    tensors, expected = {}, {}
    generator = torch.Generator().manual_seed(0)
    for part, prefix in (("text_encoder", "lora_te1_"), ("text_encoder_2", "lora_te2_")):
        for name, module in getattr(pipeline, part).named_modules():
            if name.endswith(("layers.0.mlp.fc1", "layers.1.self_attn.k_proj", "text_projection")):
                width_out, width_in = module.weight.shape
                down = torch.randn(4, width_in, generator=generator)
                up = torch.randn(width_out, 4, generator=generator)
                alpha = 1.0 if name.endswith("fc1") else 4.0
                bare = name.removeprefix("text_model.")
                stem = bare if name == "text_projection" else f"text_model.{bare}"
                stem = prefix + stem.replace(".", "_")
                tensors |= {f"{stem}.lora_down.weight": down, f"{stem}.lora_up.weight": up}
                tensors[f"{stem}.alpha"] = torch.tensor(alpha)
                expected[f"{part}.{name}"] = (up @ down) * (alpha / 4)
    assert len(expected) == 5
    found = changes(pipeline, save(tmp_path / "te.safetensors", tensors))
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value)


def test_the_uniform_case_is_that_of_diffusers(
    pipeline: StableDiffusionXLPipeline, flat: Tensors, tmp_path: Path
) -> None:
    path = save(tmp_path / "a.safetensors", kohya(flat, original, 0.5))
    pipeline.load_lora_weights(str(tmp_path), weight_name=path.name, adapter_name="a0")
    theirs = {
        f"unet.{name}": module.get_delta_weight("a0").detach().clone()
        for name, module in pipeline.unet.named_modules()
        if isinstance(module, BaseTunerLayer)
    }
    pipeline.unload_lora_weights()
    assert_same(changes(pipeline, path), theirs)


@pytest.mark.parametrize(
    "options",
    [
        {"lora_alpha": 12},
        {"lora_alpha": 12, "use_rslora": True},
        {"lora_alpha": 4, "alpha_pattern": {"to_q": 8}, "rank_pattern": {"to_k": 2}},
        {"lora_alpha": 4, "use_dora": True},
    ],
    ids=["alpha", "rslora", "patterns", "DoRA"],
)
def test_what_peft_saves(
    pipeline: StableDiffusionXLPipeline, options: Mapping[str, object], tmp_path: Path
) -> None:
    from diffusers import UNet2DConditionModel

    unet = UNet2DConditionModel.from_pretrained(str(locate(model_card("nano-turbo")).path / "unet"))
    targets = ["to_q", "to_k", "conv1"]
    config = LoraConfig(r=4, target_modules=targets, init_lora_weights=False, **options)  # type: ignore[arg-type]
    torch.manual_seed(0)
    peft = get_peft_model(unet, config)
    peft.save_pretrained(str(tmp_path))
    theirs = {
        "unet." + name.removeprefix("base_model.model."): module.get_delta_weight("default")
        for name, module in peft.named_modules()
        if isinstance(module, BaseTunerLayer)
    }
    found = changes(pipeline, tmp_path)
    assert found.keys() == theirs.keys()
    for name, value in theirs.items():
        torch.testing.assert_close(found[name], value.detach())


def test_diffusers_keeps_alpha_in_the_metadata(
    pipeline: StableDiffusionXLPipeline, flat: Tensors, wanted: Changes, tmp_path: Path
) -> None:
    rank = flat[f"{TO_Q}.lora_A.weight"].shape[0]
    text = json.dumps({"unet.r": rank, "unet.lora_alpha": 2 * rank, "unet.alpha_pattern": {}})
    tensors = {f"unet.{name}": value.contiguous() for name, value in flat.items()}
    path = tmp_path / "a.safetensors"
    save_file(tensors, path, metadata={"lora_adapter_metadata": text})
    assert_same(changes(pipeline, path), {name: 2 * value for name, value in wanted.items()})


def test_a_dora_of_kohya_draws_with_its_norms(
    pipeline: StableDiffusionXLPipeline, flat: Tensors, tmp_path: Path
) -> None:
    """W' = m (W + B A) / |W + B A|, the norm over the inputs of each output."""
    tensors = kohya({k: v for k, v in flat.items() if k.startswith(TO_Q)}, str, 1.0)
    stem = "lora_unet_" + TO_Q.replace(".", "_")
    width = tensors[f"{stem}.lora_up.weight"].shape[0]
    norms = torch.linspace(0.5, 2.0, width)
    tensors[f"{stem}.dora_scale"] = norms[:, None]
    path = save(tmp_path / "dora.safetensors", tensors)
    module = pipeline.unet.get_submodule(TO_Q)
    weight, inputs = module.weight.detach().clone(), torch.randn(3, module.in_features)
    up, down = (tensors[f"{stem}.lora_{half}.weight"].float() for half in ("up", "down"))
    changed = weight + up @ down
    expected = inputs @ (norms[:, None] * changed / changed.norm(dim=1, keepdim=True)).T
    lora.put_on(pipeline, [("dora", path, 1.0)])
    with torch.no_grad():
        found = pipeline.unet.get_submodule(TO_Q)(inputs)
    lora.take_off(pipeline)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_a_lora_without_effect_is_named(
    pipeline: StableDiffusionXLPipeline, flat: Tensors, tmp_path: Path
) -> None:
    zeros = {f"unet.{k}": v * ("lora_A" in k) for k, v in flat.items()}
    stack = [
        ("flat", locate_adapter("flat").path, 1.0),
        ("untrained", save(tmp_path / "zeros.safetensors", zeros), 1.0),
    ]
    lora.put_on(pipeline, stack)
    assert lora.without_effect(pipeline, [name for name, _, _ in stack]) == ["untrained"]
    lora.take_off(pipeline)


def test_what_does_not_fit_leaves_nothing_behind(
    pipeline: StableDiffusionXLPipeline, flat: Tensors, tmp_path: Path
) -> None:
    foreign = {name.replace("down_blocks.1", "down_blocks.7"): v for name, v in flat.items()}
    path = save(tmp_path / "a.safetensors", foreign)
    with pytest.raises(InputError, match=r"adapts down_blocks.7.* which this model does not have"):
        lora.put_on(pipeline, [("flat", locate_adapter("flat").path, 1.0), ("a", path, 1.0)])
    assert not any(isinstance(module, BaseTunerLayer) for module in pipeline.unet.modules())


def test_a_lora_that_no_module_has_is_without_effect(pipeline: StableDiffusionXLPipeline) -> None:
    """As in the trial of the gate whose fault drops every adapter."""
    assert lora.without_effect(pipeline, ["flat"]) == ["flat"]


def test_the_change_of_each_lora_of_a_stack_scales_with_its_weight(
    pipeline: StableDiffusionXLPipeline,
) -> None:
    files = [locate_adapter(name) for name in ("flat", "ink")]
    norms: dict[str, float] = {}
    lora.put_on(pipeline, [(one.name, one.path, 0.5) for one in files])
    half = lora.relative_changes(pipeline, ["flat", "ink"], norms)
    kept = dict(norms)
    lora.take_off(pipeline)
    lora.put_on(pipeline, [(files[1].name, files[1].path, -1.0)])
    whole = lora.relative_changes(pipeline, ["ink"], norms)
    lora.take_off(pipeline)
    assert whole["ink"] == pytest.approx(2 * half["ink"]) and 0 < half["flat"] < 1
    assert norms == kept, "the weights beneath are the same"
