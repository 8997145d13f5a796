"""Which module of a model each layer of a LoRA changes.

Owns the comparison of names and shapes, and the names of SDXL's original code. It works on a
model's headers before anything is loaded, and on the loaded pipeline's own modules: what a
plan accepts is what is put on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from turbo_lab.cards.lora_keys import TEXT, TEXT_2, UNET, LoraLayer, shown
from turbo_lab.errors import InputError

Modules = Mapping[str, tuple[int, ...]]
"""Name of each module to the shape of its weight."""
_PARTS = (UNET, TEXT, TEXT_2)
# Names of SDXL's original code, with _ for every dot, and what diffusers calls them.
_ORIGINAL_ENDS = {
    "time_embed_0": "time_embedding_linear_1",
    "time_embed_2": "time_embedding_linear_2",
    "label_emb_0_0": "add_embedding_linear_1",
    "label_emb_0_2": "add_embedding_linear_2",
    "input_blocks_0_0": "conv_in",
    "out_0": "conv_norm_out",
    "out_2": "conv_out",
}
_ORIGINAL_RESNET = {
    "in_layers_0": "norm1",
    "in_layers_2": "conv1",
    "emb_layers_1": "time_emb_proj",
    "out_layers_0": "norm2",
    "out_layers_3": "conv2",
    "skip_connection": "conv_shortcut",
}
_ORIGINAL_BLOCK = re.compile(r"(input_blocks|middle_block|output_blocks)_(\d+)_(.+)")


class LacksLayersError(InputError):
    """A LoRA names layers that a model does not have: its file is for another model."""


@dataclass(frozen=True)
class ModelModules:
    """Modules of a model that a LoRA may change."""

    parts: Mapping[str, Modules]
    """Part (``unet``, ``text_encoder``, ``text_encoder_2``) to its modules."""
    layers_per_block: int
    """ResNet blocks per level of the UNet; block numbers in original names depend on it."""

    def keys(self, part: str) -> dict[str, str]:
        """Return modules of a part, keyed by a name common to all spellings."""
        return {self.key(part, name): name for name in self.parts.get(part, {})}

    def key(self, part: str, name: str) -> str:
        """Return the name that is common to all spellings of a module."""
        flat = name.replace(".", "_")
        if part == UNET:
            return diffusers_name(flat, self.layers_per_block)
        return flat.removeprefix("text_model_")


@dataclass(frozen=True)
class Fit:
    """A layer of a LoRA and the module that it changes."""

    layer: LoraLayer
    """The layer."""
    part: str
    """Part of the pipeline."""
    module: str
    """Name of the module in that part."""
    shape: tuple[int, ...]
    """Shape of the module's weight."""


def fit_layers(
    layers: Sequence[LoraLayer], modules: ModelModules, where: str, remedy: str = ""
) -> tuple[Fit, ...]:
    """Return the module of each layer, in the layers' order.

    ``where`` names LoRA and model, for messages. Raises :class:`LacksLayersError` for
    layers that the model does not have, and :class:`InputError` for other shapes.
    """
    keys = {part: modules.keys(part) for part in _PARTS}
    unnamed = _part_of_unnamed(layers, modules, keys)
    fits, lacking = [], []
    for layer in layers:
        part = layer.part or unnamed
        name = keys[part].get(modules.key(part, layer.module))
        if name is None:
            lacking.append(layer.module if part == UNET else f"{part}.{layer.module}")
            continue
        fits.append(Fit(layer, part, name, modules.parts[part][name]))
    for fit in fits:
        if problem := _misshapen(fit):
            raise InputError(f"{where}: {problem}{remedy}")
    if lacking:
        raise LacksLayersError(
            f"{where}: adapts {shown(lacking)}, which this model does not have{remedy}"
        )
    _refuse_twice(fits, where)
    _refuse_mixed(fits, where)
    return tuple(fits)


def diffusers_name(name: str, layers_per_block: int) -> str:
    """Translate a UNet module's original name to diffusers' name; return others unchanged.

    Both with ``_`` in place of dots: ``input_blocks_4_1_proj_in`` is
    ``down_blocks_1_attentions_0_proj_in``.
    """
    if name in _ORIGINAL_ENDS:
        return _ORIGINAL_ENDS[name]
    found = _ORIGINAL_BLOCK.fullmatch(name)
    if found is None:
        return name
    side, number, rest = found[1], int(found[2]), found[3]
    if side == "middle_block":
        if number == 1:
            return f"mid_block_attentions_0_{rest}"
        return f"mid_block_resnets_{number // 2}_{_ORIGINAL_RESNET.get(rest, rest)}"
    position, _, rest = rest.partition("_")
    down = side == "input_blocks"
    block, layer = divmod(number - down, layers_per_block + 1)
    if rest == "op":
        return f"down_blocks_{block}_downsamplers_0_conv"
    if rest == "conv":
        return f"up_blocks_{block}_upsamplers_0_conv"
    kind = f"{'down' if down else 'up'}_blocks_{block}"
    if position == "0":
        return f"{kind}_resnets_{layer}_{_ORIGINAL_RESNET.get(rest, rest)}"
    return f"{kind}_attentions_{layer}_{rest}"


def _part_of_unnamed(
    layers: Iterable[LoraLayer], modules: ModelModules, keys: Mapping[str, Mapping[str, str]]
) -> str:
    """Return the part that has every layer which names none; the UNet if no part has."""
    unnamed = [layer for layer in layers if layer.part is None]
    for part in _PARTS:
        names = [keys[part].get(modules.key(part, layer.module)) for layer in unnamed]
        fits = (
            Fit(layer, part, name, modules.parts[part][name])
            for layer, name in zip(unnamed, names, strict=True)
            if name is not None
        )
        if unnamed and all(names) and not any(_misshapen(fit) for fit in fits):
            return part
    return UNET


def _misshapen(fit: Fit) -> str | None:
    """Return how a layer differs from its module; ``None`` if it fits."""
    (width_in, width_out), shape = fit.layer.widths, fit.shape
    if shape[:2] != (width_out, width_in):
        return (
            f"{fit.module} is {width_out}x{width_in} in the LoRA and {shape[0]}x{shape[1]} "
            "in the model"
        )
    kernel, own = fit.layer.down_shape[2:] or (1, 1), shape[2:] or (1, 1)
    if kernel != own or set(fit.layer.up_shape[2:]) - {1}:
        return f"{fit.module} has a kernel of {kernel} in the LoRA and {own} in the model"
    return None


def _refuse_twice(fits: Iterable[Fit], where: str) -> None:
    seen: dict[tuple[str, str], str] = {}
    for fit in fits:
        first = seen.setdefault((fit.part, fit.module), fit.layer.down)
        if first != fit.layer.down:
            raise InputError(f"{where}: {first} and {fit.layer.down} both change {fit.module}")


def _refuse_mixed(fits: Sequence[Fit], where: str) -> None:
    """Refuse a part in which only some layers have DoRA's magnitudes, or a bias."""
    for part in _PARTS:
        own = [fit.layer for fit in fits if fit.part == part]
        for what, has in (
            ("magnitudes (DoRA)", [layer.magnitude is not None for layer in own]),
            ("a bias", [layer.bias is not None for layer in own]),
        ):
            if any(has) and not all(has):
                without = shown([own[i].down for i, one in enumerate(has) if not one])
                raise InputError(
                    f"{where}: some layers have {what} and others do not ({without}); peft loads "
                    "all or none of a part's with it"
                )
