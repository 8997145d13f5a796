"""The modules of a model by the headers of its files; no weights are read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from turbo_lab.cards.folder import read_json
from turbo_lab.cards.locate import UNET_CONFIG, ModelFiles
from turbo_lab.cards.lora_fit import ModelModules
from turbo_lab.cards.lora_keys import TEXT, TEXT_2, UNET
from turbo_lab.untrusted.headers import read_header

Shapes = dict[str, tuple[int, ...]]
_STARTS = {
    UNET: "model.diffusion_model.",
    TEXT: "conditioner.embedders.0.transformer.",
    TEXT_2: "conditioner.embedders.1.model.",
}
_BLOCK = re.compile(r"transformer\.resblocks\.(\d+)\.(.+)")
# Modules of the second text encoder under their original names, except its joint projection.
_TEXT_2_MODULES = {
    "attn.out_proj.weight": "self_attn.out_proj",
    "mlp.c_fc.weight": "mlp.fc1",
    "mlp.c_proj.weight": "mlp.fc2",
}


def module_shapes(model: ModelFiles) -> ModelModules:
    """Return the modules of a model's UNet and text encoders."""
    field, source = f"model={model.name}", model.source
    if source.path.is_file():
        shapes = read_header(source.path, field).shapes
        parts = {part: _without(shapes, start) for part, start in _STARTS.items()}
        parts[TEXT_2] = _second_text_encoder(parts[TEXT_2])
        assert source.config is not None
        for part in set(source.parts) & set(parts):
            parts[part] = _of_folder(source.config / part, field)
        return ModelModules(_by_module(parts), _layers_per_block(source.config))
    parts = {part: _of_folder(source.path / part, field) for part in _STARTS}
    return ModelModules(_by_module(parts), _layers_per_block(source.path))


def _of_folder(folder: Path, field: str) -> Shapes:
    """Return the tensors of a component's weights, in one file or in shards."""
    shapes: dict[str, tuple[int, ...]] = {}
    for path in sorted(folder.glob("*.safetensors")):
        shapes |= read_header(path, field).shapes
    return shapes


def _by_module(parts: Mapping[str, Shapes]) -> dict[str, Shapes]:
    """Return the modules whose weight is a matrix or a convolution's kernel."""
    return {
        part: {
            name.removesuffix(".weight"): shape
            for name, shape in shapes.items()
            if name.endswith(".weight") and len(shape) in (2, 4) and "embedding.weight" not in name
        }
        for part, shapes in parts.items()
    }


def _without(shapes: Mapping[str, tuple[int, ...]], start: str) -> Shapes:
    return {n.removeprefix(start): shape for n, shape in shapes.items() if n.startswith(start)}


def _second_text_encoder(shapes: Shapes) -> Shapes:
    """Return the second text encoder's weights under the names of transformers."""
    made: dict[str, tuple[int, ...]] = {}
    for name, shape in shapes.items():
        if name == "text_projection":
            made["text_projection.weight"] = shape[::-1]
        elif found := _BLOCK.fullmatch(name):
            layer = f"encoder.layers.{found[1]}."
            if found[2] == "attn.in_proj_weight":
                for projection in ("q_proj", "k_proj", "v_proj"):
                    made[f"{layer}self_attn.{projection}.weight"] = (shape[0] // 3, shape[1])
            elif found[2] in _TEXT_2_MODULES:
                made[f"{layer}{_TEXT_2_MODULES[found[2]]}.weight"] = shape
    return made


def _layers_per_block(folder: Path) -> int:
    """Return the UNet's count, by which its original names are numbered."""
    value = read_json(folder / UNET_CONFIG).get("layers_per_block")
    return value if isinstance(value, int) else 2
