"""An SDXL pipeline's weights under the names of SDXL's original code, as single files have them.

The inverse of what diffusers does when it loads such a file; written for tests only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file

UNET = "model.diffusion_model."
_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_ENDS = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
_VAE_ATTENTION = {
    "group_norm": "norm",
    "to_q": "q",
    "to_k": "k",
    "to_v": "v",
    "to_out.0": "proj_out",
}
_TEXT_2 = {
    "self_attn.out_proj": "attn.out_proj",
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "embeddings.token_embedding.weight": "token_embedding.weight",
    "embeddings.position_embedding.weight": "positional_embedding",
    "final_layer_norm": "ln_final",
}


def unet_module(module: str, layers: int, with_attention: set[int]) -> str:
    """Return the original name of a UNet's module.

    ``layers``: ``layers_per_block``; ``with_attention``: numbers of the up blocks that have it.
    """
    if module in _ENDS:
        return _ENDS[module]
    parts = module.split(".")
    if parts[0] == "mid_block":
        number = 1 if parts[1] == "attentions" else 2 * int(parts[2])
        return f"middle_block.{number}.{_inner(parts[1:])}"
    down, block, kind, layer = parts[0] == "down_blocks", int(parts[1]), parts[2], int(parts[3])
    side, first = ("input_blocks", 1) if down else ("output_blocks", 0)
    if kind == "downsamplers":
        return f"{side}.{(block + 1) * (layers + 1)}.0.op"
    if kind == "upsamplers":
        return f"{side}.{block * (layers + 1) + layers}.{1 + (block in with_attention)}.conv"
    number = first + block * (layers + 1) + layer
    return f"{side}.{number}.{int(kind == 'attentions')}.{_inner(parts[2:])}"


def _inner(parts: list[str]) -> str:
    rest = ".".join(parts[2:])
    return _RESNET[rest] if parts[0] == "resnets" else rest


def single_file(folder: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a diffusers folder under their original names."""
    unet = load_file(folder / "unet" / "diffusion_pytorch_model.safetensors")
    vae = load_file(folder / "vae" / "diffusion_pytorch_model.safetensors")
    text = load_file(folder / "text_encoder" / "model.safetensors")
    text_2 = load_file(folder / "text_encoder_2" / "model.safetensors")
    first = "conditioner.embedders.0.transformer.text_model."
    made = {
        **original_unet(unet),
        **_original_vae(vae),
        **{first + name.removeprefix("text_model."): value for name, value in text.items()},
        **_original_text_2({k.removeprefix("text_model."): v for k, v in text_2.items()}),
    }
    return {name: value.clone().contiguous() for name, value in made.items()}


def original_unet(unet: Mapping[str, torch.Tensor], layers: int = 1) -> dict[str, torch.Tensor]:
    """Return a UNet's tensors under their original names."""
    attended = {int(k.split(".")[1]) for k in unet if re.match(r"up_blocks\.\d\.attentions", k)}
    made = {}
    for name, value in unet.items():
        module, _, kind = name.rpartition(".")
        made[f"{UNET}{unet_module(module, layers, attended)}.{kind}"] = value
    return made


def _original_vae(vae: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    made = {}
    for name, value in vae.items():
        new = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", name)
        if found := re.match(r"(\w+)\.mid_block\.attentions\.0\.(.*)\.(\w+)$", new):
            side, part, kind = found.groups()
            new = f"{side}.mid.attn_1.{_VAE_ATTENTION[part]}.{kind}"
            if kind == "weight" and part != "group_norm":
                value = value[..., None, None]
        blocks = 1 + max(int(n.split(".")[2]) for n in vae if n.startswith("decoder.up_blocks."))
        new = re.sub(r"down_blocks\.(\d)\.resnets", r"down.\1.block", new)
        new = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", new)
        up = r"up_blocks\.(\d)\.(resnets|upsamplers\.0)"
        kinds = {"resnets": "block", "upsamplers.0": "upsample"}
        new = re.sub(up, lambda m: f"up.{blocks - 1 - int(m[1])}.{kinds[m[2]]}", new)  # noqa: B023
        new = new.replace("conv_shortcut", "nin_shortcut").replace("conv_norm_out", "norm_out")
        made[f"first_stage_model.{new}"] = value
    return made


def _original_text_2(text: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    made, start = {}, "conditioner.embedders.1.model."
    for name, value in text.items():
        if found := re.match(r"encoder\.layers\.(\d+)\.(.*)\.(\w+)$", name):
            number, part, kind = found.groups()
            block = f"{start}transformer.resblocks.{number}."
            if part in _TEXT_2:
                made[f"{block}{_TEXT_2[part]}.{kind}"] = value
            elif part == "self_attn.q_proj":
                three = [text[name.replace("q_proj", f"{x}_proj")] for x in "qkv"]
                made[f"{block}attn.in_proj_{kind}"] = torch.cat(three)
        elif name == "text_projection.weight":
            made[f"{start}text_projection"] = value.T
        else:
            module, _, kind = name.rpartition(".")
            made[start + (_TEXT_2.get(name) or f"{_TEXT_2[module]}.{kind}")] = value
    return made
