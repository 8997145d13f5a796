"""Modules of a model, read from the headers of its files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file
from safetensors.torch import save_file as save_torch

from tests.original_names import single_file
from turbo_lab.cards import assemble, locate, model_card
from turbo_lab.cards.card import local_card
from turbo_lab.cards.lora_fit import ModelModules
from turbo_lab.cards.modules import module_shapes


@pytest.fixture(scope="module")
def nano() -> ModelModules:
    return module_shapes(locate(model_card("nano-turbo")))


def test_the_modules_are_the_matrices_and_kernels_of_the_parts(nano: ModelModules) -> None:
    import torch
    from diffusers import StableDiffusionXLPipeline

    pipeline = StableDiffusionXLPipeline.from_pretrained(str(assemble("nano-turbo")))
    for part, modules in nano.parts.items():
        adaptable = {
            name: tuple(module.weight.shape)
            for name, module in getattr(pipeline, part).named_modules()
            if isinstance(module, torch.nn.Linear | torch.nn.Conv2d)
        }
        assert modules == adaptable, part
    assert nano.layers_per_block == pipeline.unet.config.layers_per_block


def test_shards_are_read_as_one_file(copy: Path) -> None:
    whole = copy / "unet" / "diffusion_pytorch_model.safetensors"
    model = local_card(copy)
    before = module_shapes(locate(model))
    tensors = load_file(whole)
    names = sorted(tensors)
    whole.unlink()
    shards = {1: names[: len(names) // 2], 2: names[len(names) // 2 :]}
    weight_map = {}
    for number, part in shards.items():
        file = f"diffusion_pytorch_model-0000{number}-of-00002.safetensors"
        save_torch({name: tensors[name] for name in part}, whole.with_name(file))
        weight_map |= dict.fromkeys(part, file)
    whole.with_name(f"{whole.name}.index.json").write_text(json.dumps({"weight_map": weight_map}))
    assert module_shapes(locate(model)) == before


@pytest.mark.parametrize("dropped", ["first_stage_model.", "conditioner."])
def test_a_lone_checkpoint_has_the_same_modules(
    dropped: str, tmp_path: Path, nano: ModelModules
) -> None:
    tensors = single_file(assemble("nano-turbo"))
    kept = {name: value for name, value in tensors.items() if not name.startswith(dropped)}
    save_torch(kept, tmp_path / "a.safetensors")
    found = module_shapes(locate(replace(local_card(tmp_path / "a.safetensors"), base="nano-sdxl")))
    for part, modules in nano.parts.items():
        ours = {found.key(part, name): shape for name, shape in found.parts[part].items()}
        assert {key: ours[key] for key in nano.keys(part)} == {
            nano.key(part, name): shape for name, shape in modules.items()
        }
