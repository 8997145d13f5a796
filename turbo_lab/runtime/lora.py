"""Adapters on a resident pipeline: put on and taken off without touching the base.

Adapters are never fused: fusing and unfusing changes 17-27% of fp16 weights.
Taking them off removes their layers, so the base's tensors are the very ones
that were loaded.

Each tensor goes to the module that the plan found for it, with the scale that its
file states. diffusers loads it under its own names then: its converter of kohya's
names gives every layer the most common alpha where layers differ, and fails on some
text encoders (diffusers 0.42.1).
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from math import sqrt
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionXLPipeline
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.other import get_pattern_key
from safetensors import SafetensorError
from safetensors.torch import load_file

from turbo_lab.cards.adapter import read_configs
from turbo_lab.cards.lora_fit import Fit, ModelModules, fit_layers
from turbo_lab.cards.lora_keys import UNET, read_layers
from turbo_lab.errors import InputError
from turbo_lab.runtime.failures import reason, refused_as
from turbo_lab.untrusted.headers import read_header

_PARTS = ("unet", "text_encoder", "text_encoder_2")
Tensors = Mapping[str, torch.Tensor]


def put_on(
    pipeline: StableDiffusionXLPipeline, adapters: Sequence[tuple[str, Path, float]]
) -> None:
    """Load (name, file, weight) in order and activate them together.

    Raises :class:`InputError` for an adapter that does not fit this model;
    adapters that were put on before it are removed again.
    """
    try:
        for index, (name, path, _) in enumerate(adapters):
            remedy = "; use an adapter trained for its architecture"
            with refused_as(f"lora={name}: does not fit this model", remedy):
                try:
                    _load(pipeline, path, f"lora={name}", f"a{index}")
                except (OSError, SafetensorError) as error:
                    raise InputError(
                        f"lora={name}: cannot be read ({reason(error)}); get the file again"
                    ) from error
        names = [f"a{index}" for index in range(len(adapters))]
        if names:
            pipeline.set_adapters(names, [weight for _, _, weight in adapters])
    except BaseException:  # Ctrl-C too; it goes on to the caller
        take_off(pipeline)
        raise


def take_off(pipeline: StableDiffusionXLPipeline) -> None:
    """Remove every adapter."""
    pipeline.unload_lora_weights()


def relative_changes(
    pipeline: StableDiffusionXLPipeline, names: Sequence[str], weight_norms: dict[str, float]
) -> dict[str, float]:
    """Return by how much each adapter, named in their order, changes the weights that it is on.

    That is the Frobenius norm of its products, scaled as they are applied, over the norm of the
    weights of the same modules. The magnitudes of a DoRA are left out, and so are modules whose
    weights are not in memory. ``weight_norms``: norm of each module's weight, kept between calls.
    """
    squares: dict[str, list[torch.Tensor]] = {f"a{index}": [] for index in range(len(names))}
    weights = dict.fromkeys(squares, 0.0)
    with torch.no_grad():
        for place, module in _adapted(pipeline):
            weight = module.get_base_layer().weight
            if weight.is_meta:  # offloaded layer by layer
                continue
            if place not in weight_norms:
                weight_norms[place] = float(torch.linalg.vector_norm(_dense(weight).float()))
            for own in squares.keys() & module.lora_A.keys():
                squares[own].append(_product_norm(module, own) ** 2)
                weights[own] += weight_norms[place] ** 2
    changes = {
        own: sqrt(float(torch.stack(found).sum()) / weights[own]) if weights[own] else 0.0
        for own, found in squares.items()
    }
    return dict(zip(names, changes.values(), strict=True))


def _dense(weight: torch.Tensor) -> torch.Tensor:
    """Return a weight as plain numbers: torchao computes no norm of what it quantised."""
    return weight if type(weight) in (torch.Tensor, torch.nn.Parameter) else weight.dequantize()


def _product_norm(module: Any, name: str) -> torch.Tensor:
    """Return the Frobenius norm of an adapter's product on one module, as it is scaled.

    The squared norm of B A is the sum of (B'B) * (AA'), elementwise: rank times rank numbers.
    """
    down = module.lora_A[name].weight.flatten(1).double()
    up = module.lora_B[name].weight.flatten(1).double()
    square = ((up.T @ up) * (down @ down.T)).sum().clamp(min=0.0)
    scaled: torch.Tensor = square.sqrt() * abs(module.scaling[name])
    return scaled


def without_effect(pipeline: StableDiffusionXLPipeline, names: Sequence[str]) -> list[str]:
    """Return those of the adapters, named in their order, that change no weight.

    Their products are all zero, or no module has them.
    """
    acting: dict[str, list[torch.Tensor]] = {f"a{index}": [] for index in range(len(names))}
    for _, module in _adapted(pipeline):
        for own, found in acting.items():
            if own in module.lora_A:
                acts = module.lora_A[own].weight.any() & module.lora_B[own].weight.any()
                found.append(acts if own not in module.lora_magnitude_vector else acts | True)
    return [
        name
        for name, found in zip(names, acting.values(), strict=True)
        if not (found and bool(torch.stack(found).any()))
    ]


def _adapted(pipeline: StableDiffusionXLPipeline) -> Iterator[tuple[str, Any]]:
    """Yield the modules that adapters change, with part and name."""
    for part in _PARTS:
        for name, module in getattr(pipeline, part).named_modules():
            if isinstance(module, BaseTunerLayer):
                yield f"{part}.{name}", module


def _load(pipeline: StableDiffusionXLPipeline, path: Path, where: str, name: str) -> None:
    header = read_header(path, where)
    layers = read_layers(header.shapes, where)
    fits = fit_layers(layers, _modules(pipeline), f"{where}: does not fit this model")
    configs = read_configs(path, header, where)
    tensors = load_file(path)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Already found a `peft_config`")  # a second one is meant
        for part in _PARTS:
            own = [fit for fit in fits if fit.part == part]
            if own:
                config = configs.get(part) or configs.get("") or {}
                _load_part(pipeline, part, fits=own, tensors=tensors, config=config, name=name)
    _check_is_on(pipeline, fits, tensors=tensors, where=where, name=name)


def _modules(pipeline: StableDiffusionXLPipeline) -> ModelModules:
    """Return the modules of the pipeline as they are without adapters."""
    parts: dict[str, dict[str, tuple[int, ...]]] = {}
    for part in _PARTS:
        own = parts[part] = {}
        for name, module in getattr(pipeline, part).named_modules():
            if isinstance(module, (torch.nn.Linear, torch.nn.Conv2d)) and ".lora_" not in name:
                own[name.removesuffix(".base_layer")] = tuple(module.weight.shape)
    return ModelModules(parts, int(pipeline.unet.config.layers_per_block))


def _load_part(
    pipeline: StableDiffusionXLPipeline,
    part: str,
    fits: Sequence[Fit],
    tensors: Tensors,
    config: Mapping[str, object],
    name: str,
) -> None:
    """Let diffusers put the layers of one part on, under its own names for them."""
    module, state, metadata = getattr(pipeline, part), {}, _peft_metadata(fits, tensors, config)
    # Of a text encoder, diffusers converts these names for every module, and lora_A for some.
    text = ("lora_linear_layer.down", "lora_linear_layer.up")
    down, up = ("lora_A", "lora_B") if part == UNET else text
    for fit in fits:
        layer, stem = fit.layer, f"{part}.{fit.module}"
        state[f"{stem}.{down}.weight"] = _shaped(tensors[layer.down], fit.shape)
        state[f"{stem}.{up}.weight"] = _shaped(tensors[layer.up], fit.shape)
        if layer.magnitude is not None:
            value = tensors[layer.magnitude].flatten()
            shape = (1, -1, 1, 1) if len(fit.shape) == 4 else (-1,)
            state[f"{stem}.lora_magnitude_vector"] = value.reshape(shape)
        if layer.bias is not None:
            state[f"{stem}.lora_B.bias"] = tensors[layer.bias]
    # Products have other bits where weights do not start at a multiple of 64 bytes.
    state = {key: value.clone() if value.data_ptr() % 64 else value for key, value in state.items()}
    options: dict[str, Any] = {
        "network_alphas": None,
        "adapter_name": name,
        "metadata": {f"{part}.{key}": value for key, value in metadata.items()},
        "low_cpu_mem_usage": True,
        "_pipeline": pipeline,
    }
    if part == UNET:
        pipeline.load_lora_into_unet(state, unet=module, **options)
    else:
        pipeline.load_lora_into_text_encoder(state, text_encoder=module, prefix=part, **options)


def _shaped(value: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """Return a matrix for a linear layer, and a kernel for a convolution."""
    if len(shape) == 2:
        return value.reshape(value.shape[:2])
    return value if value.ndim == 4 else value[..., None, None]


def _peft_metadata(
    fits: Sequence[Fit], tensors: Tensors, config: Mapping[str, object]
) -> dict[str, Any]:
    """Return peft's configuration of one part: rank and alpha of each layer, by name."""
    ranks = {fit.module: fit.layer.rank for fit in fits}
    alphas = {fit.module: _alpha(fit, tensors, config) for fit in fits}
    rank, alpha = (Counter(found.values()).most_common(1)[0][0] for found in (ranks, alphas))
    return {
        "r": rank,
        "lora_alpha": alpha,
        "rank_pattern": {f"^{name}": n for name, n in ranks.items() if n != rank},
        "alpha_pattern": {f"^{name}": n for name, n in alphas.items() if n != alpha},
        "target_modules": list(ranks),
        "use_dora": any(fit.layer.magnitude for fit in fits),
        "lora_bias": any(fit.layer.bias for fit in fits),
    }


def _alpha(fit: Fit, tensors: Tensors, config: Mapping[str, object]) -> float:
    """Return the alpha of a layer: its own tensor, its configuration's, or else its rank."""
    if fit.layer.alpha is not None:
        return float(tensors[fit.layer.alpha])
    if "lora_alpha" not in config:
        return float(fit.layer.rank)
    pattern = config.get("alpha_pattern") or {}
    assert isinstance(pattern, Mapping)
    alpha = float(pattern.get(get_pattern_key(pattern, fit.module), config["lora_alpha"]))
    return alpha * sqrt(fit.layer.rank) if config.get("use_rslora") else alpha


def _check_is_on(
    pipeline: StableDiffusionXLPipeline,
    fits: Sequence[Fit],
    tensors: Tensors,
    where: str,
    name: str,
) -> None:
    """Raise :class:`InputError` where a layer does not have the file's numbers now."""
    for fit in fits:
        module = getattr(pipeline, fit.part).get_submodule(fit.module)
        is_on = isinstance(module, BaseTunerLayer) and name in module.lora_A
        for kind, key in (("lora_A", fit.layer.down), ("lora_B", fit.layer.up)):
            if is_on:
                found = getattr(module, kind)[name].weight
                wanted = _shaped(tensors[key], fit.shape).to(found.device, found.dtype)
                is_on = torch.equal(found, wanted) or not bool(torch.isfinite(wanted).all())
        if not is_on:
            raise InputError(
                f"{where}: peft and diffusers did not put {fit.layer.down} on {fit.module}; report "
                "it with the names of the file's tensors"
            )
