"""The names that trainers give to a LoRA's tensors: which layer each belongs to.

Owns the spellings: kohya and A1111, peft, diffusers of 2023 and of today. Refuses what no
loader of diffusers takes by name: LyCORIS kinds, embeddings, LoRAs of other models.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod

from turbo_lab.errors import InputError

Shapes = Mapping[str, tuple[int, ...]]

UNET, TEXT, TEXT_2 = "unet", "text_encoder", "text_encoder_2"
# Beginnings of names, the longer ones first, and the part that they name.
_PREFIXES = (
    ("lora_unet_", UNET),
    ("lora_te1_", TEXT),
    ("lora_te2_", TEXT_2),
    ("lora_te_", TEXT),
    ("base_model.model.unet.", UNET),
    ("base_model.model.", None),  # peft's own: whichever part has such a module
    ("model.diffusion_model.", UNET),
    ("diffusion_model.", UNET),
    ("text_encoder_2.", TEXT_2),
    ("text_encoder.", TEXT),
    ("unet.", UNET),
)
_NAME = r"(?:\.(?!weight$|bias$)[^.]+)?"  # the adapter's name, as peft has it in memory
# Ends of names, and the role of the tensor. What is before is the module.
_ENDS = tuple(
    (re.compile(pattern), role)
    for pattern, role in (
        (rf"\.lora_A{_NAME}\.weight$", "down"),
        (rf"\.lora_B{_NAME}\.weight$", "up"),
        (rf"\.lora_B{_NAME}\.bias$", "bias"),
        (rf"\.lora_magnitude_vector{_NAME}(?:\.weight)?$", "magnitude"),
        (r"\.lora_down\.weight$", "down"),
        (r"\.lora_up\.weight$", "up"),
        (r"\.dora_scale$", "dora_scale"),
        (r"\.alpha$", "alpha"),
        (r"(?:\.lora|\.lora_linear_layer|_lora)\.down\.weight$", "down"),
        (r"(?:\.lora|\.lora_linear_layer|_lora)\.up\.weight$", "up"),
    )
)
_OTHER_KINDS = (
    (r"\.hada_(w[12]|t[12])", "LoHa (LyCORIS)"),
    (r"\.lokr_(w[12]|t2)", "LoKr (LyCORIS)"),
    (r"\.(oft_blocks|oft_diag|oft_R|boft_R|boft_s)\b", "OFT or BOFT"),
    (r"\.on_input$|\.ia3_l\b", "(IA)3"),
    (r"\.[ab][12]\.weight$", "GLoRA (LyCORIS)"),
    (r"\.lora_mid\.weight$", "LoCon with a Tucker decomposition (LyCORIS)"),
    (r"\.diff(_b)?$", "full differences of weights (LyCORIS)"),
    (r"\.[wb]_norm$", "differences of norms (LyCORIS)"),
    (r"\.(scalar|rescale)$", "a LyCORIS LoRA with an extra scalar"),
    (r"\.vera_lambda", "VeRA"),
    (r"\.lora_embedding_[AB]", "a LoRA of embeddings"),
    (r"^bundle_emb\.|string_to_param|^emb_params$", "an embedding (textual inversion)"),
    (r"^lora_controlnet", "a Control-LoRA"),
)
_OTHER_MODELS = (
    (r"(double|single)_blocks[._]|single_transformer_blocks", "Flux"),
    (r"joint_blocks|lora_te3_|text_encoder_3", "Stable Diffusion 3"),
    (r"^(transformer|lora_transformer)[._]", "a diffusion transformer"),
)
# Projections of an attention layer, as diffusers of 2023 spelled them with `_lora` behind.
_UNET_2023 = {"to_q": "to_q", "to_k": "to_k", "to_v": "to_v", "to_out": "to_out.0"}
_TEXT_2023 = {"to_q": "q_proj", "to_k": "k_proj", "to_v": "v_proj", "to_out": "out_proj"}
_SHOWN = 4


@dataclass(frozen=True)
class LoraLayer:
    """One module that a LoRA changes, and the tensors that do it."""

    part: str | None
    """``unet``, ``text_encoder`` or ``text_encoder_2``; ``None``: the file does not say."""
    module: str
    """Name of the module in the file's own spelling, without prefix."""
    down: str
    """Tensor of rank x inputs."""
    up: str
    """Tensor of outputs x rank."""
    down_shape: tuple[int, ...]
    """Shape of ``down``; a convolution's has four dimensions."""
    up_shape: tuple[int, ...]
    """Shape of ``up``."""
    alpha: str | None = None
    """Scalar tensor: the change is scaled by alpha / rank. ``None``: not scaled."""
    magnitude: str | None = None
    """Tensor with the norms of a DoRA, one per output; ``None`` for a plain LoRA."""
    bias: str | None = None
    """Tensor that is added to the outputs; ``None``: there is none."""

    @property
    def rank(self) -> int:
        """Number of rows of ``down``."""
        return self.down_shape[0]

    @property
    def widths(self) -> tuple[int, int]:
        """Inputs and outputs of the module."""
        return self.down_shape[1], self.up_shape[0]

    @property
    def tensors(self) -> tuple[str, ...]:
        """Names of all its tensors."""
        return tuple(n for n in (self.down, self.up, self.alpha, self.magnitude, self.bias) if n)


@dataclass
class _Found:
    """Tensors of one module, by role."""

    part: str | None
    module: str
    tensors: dict[str, str] = field(default_factory=dict)


def read_layers(shapes: Shapes, where: str) -> tuple[LoraLayer, ...]:
    """Return the layers of a LoRA from the names and shapes of its tensors.

    ``where`` names the file, for messages. Raises :class:`InputError` that lists the
    tensors which nothing takes.
    """
    _refuse_other_kinds(shapes, where)
    modules: dict[tuple[str | None, str], _Found] = {}
    unknown = []
    for name in shapes:
        parsed = _parse(name)
        if parsed is None:
            unknown.append(name)
            continue
        part, module, role = parsed
        found = modules.setdefault((part, module), _Found(part, module))
        if role in found.tensors:
            raise InputError(f"{where}: {found.tensors[role]} and {name} are the same tensor twice")
        found.tensors[role] = name
    layers = [layer for found in modules.values() for layer in _layer(found, shapes, where)]
    taken = {name for layer in layers for name in layer.tensors}
    paired = (name for found in modules.values() for name in found.tensors.values())
    if left := [*unknown, *(name for name in paired if name not in taken)]:
        raise InputError(
            f"{where}: nothing takes {shown(left)}; diffusers loads pairs of lora_down and lora_up "
            "(lora_A and lora_B) with alpha and DoRA's magnitudes"
        )
    if not layers:
        raise InputError(f"{where}: holds no tensors, so that it changes nothing")
    return tuple(layers)


def shown(names: Sequence[str]) -> str:
    """Return the first of some names, and how many more there are."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(sorted(names)[:_SHOWN]) + more


def _refuse_other_kinds(shapes: Shapes, where: str) -> None:
    for table, text in (
        (_OTHER_MODELS, "is a LoRA for {}, not for SDXL"),
        (_OTHER_KINDS, "is {}, which diffusers does not load for SDXL"),
    ):
        for pattern, kind in table:
            if names := [name for name in shapes if re.search(pattern, name)]:
                raise InputError(
                    f"{where}: {text.format(kind)} ({shown(names)}); use a LoRA of pairs of "
                    "matrices (LoRA, LoCon or DoRA) that was trained for SDXL"
                )


def _parse(name: str) -> tuple[str | None, str, str] | None:
    """Return part, module and role of a tensor; ``None`` for an unknown spelling."""
    found = next(((m, role) for end, role in _ENDS if (m := end.search(name))), None)
    if found is None:
        return None
    match, role = found
    stem = name[: match.start()]
    bare = None if stem.startswith("text_model.") else UNET
    prefix, part = next(((p, part) for p, part in _PREFIXES if stem.startswith(p)), ("", bare))
    module = stem.removeprefix(prefix)
    if match.group().startswith("_lora."):  # diffusers of 2023
        head, _, projection = module.rpartition(".")
        names = _UNET_2023 if part == UNET else _TEXT_2023
        if projection not in names:
            return None
        module = f"{head.removesuffix('.processor')}.{names[projection]}"
    return part, module, role


def _layer(found: _Found, shapes: Shapes, where: str) -> Iterator[LoraLayer]:
    """Yield the layer of a module whose pair of matrices is complete."""
    roles = found.tensors
    if "down" not in roles or "up" not in roles:
        return
    down, up = shapes[roles["down"]], shapes[roles["up"]]
    if len(down) not in (2, 4) or len(up) not in (2, 4) or down[0] != up[1]:
        raise InputError(
            f"{where}: {roles['down']} {down} and {roles['up']} {up} are not a pair of matrices"
        )
    layer = LoraLayer(
        found.part,
        found.module,
        down=roles["down"],
        up=roles["up"],
        down_shape=down,
        up_shape=up,
        alpha=roles.get("alpha"),
        bias=roles.get("bias"),
    )
    yield replace(layer, magnitude=_magnitude(roles, layer, shapes, where))


def _magnitude(
    roles: Mapping[str, str], layer: LoraLayer, shapes: Shapes, where: str
) -> str | None:
    """Return the tensor with a DoRA's norms; refuses norms per input, which peft does not have."""
    if (name := roles.get("magnitude") or roles.get("dora_scale")) is None:
        return None
    shape, outputs = shapes[name], layer.widths[1]
    # peft's own are (outputs,), or (1, outputs, 1, 1) for a convolution.
    first = 1 if "magnitude" in roles and len(shape) > 1 else 0
    if len(shape) <= first or shape[first] != outputs or prod(shape) != outputs:
        raise InputError(
            f"{where}: is a DoRA whose {name} has shape {shape}; peft, which loads it, has one "
            f"norm per output ({outputs}, 1): train it with wd_on_out, or without DoRA"
        )
    return name
