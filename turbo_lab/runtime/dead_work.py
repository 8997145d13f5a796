"""Work of the stock call that decides no bit of the result, and how to leave it out.

Owns what is left out: divisions by one, copies for an activation whose input is not read again,
and the last layer of a text encoder of which only the output of the layer before is used.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import torch
from diffusers.models.autoencoders.vae import Decoder
from diffusers.models.resnet import ResnetBlock2D

# Attributes by which modules of diffusers divide their result.
_DIVISORS = ("output_scale_factor", "rescale_output_factor")


class _One:
    """The number one as a divisor that computes nothing: ``x / 1.0`` has the bits of ``x``."""

    def __rtruediv__(self, dividend: torch.Tensor) -> torch.Tensor:
        return dividend


class DeadWork:
    """Dead work of UNet and VAE, left out until :meth:`restore`.

    A compiled part is left as it is: its compiler has seen the modules as they were.
    """

    def __init__(self, unet: Any, vae: Any) -> None:
        self._changes: list[tuple[Any, str, object]] = []
        for part in (unet, vae):
            if not _is_compiled(part):
                self._changes += [(*division, _One()) for division in _divisions(part)]
        if not _is_compiled(vae):
            self._changes += [(activation, "inplace", True) for activation in _activations(vae)]
        self._before = [getattr(owner, name) for owner, name, _ in self._changes]
        self.leave_out()

    def leave_out(self) -> None:
        """Leave the work out from here on."""
        for owner, name, value in self._changes:
            setattr(owner, name, value)

    def restore(self) -> None:
        """Let the modules compute what they did before."""
        for (owner, name, _), value in zip(self._changes, self._before, strict=True):
            setattr(owner, name, value)


def _divisions(part: Any) -> Iterable[tuple[Any, str]]:
    """Return the modules that divide by one, with the name of the divisor."""
    return [
        (module, name)
        for module in part.modules()
        for name in _DIVISORS
        if getattr(module, name, None) == 1
    ]


def _activations(vae: Any) -> Iterable[Any]:
    """Return the SiLUs of a decoder, each of which follows a normalization.

    Nothing else reads the output of the normalization. A UNet's SiLUs also take the embedding of
    the timestep, which all blocks read.
    """
    decoder = getattr(vae, "decoder", None)
    if not isinstance(decoder, Decoder):
        return []
    blocks = [module for module in decoder.modules() if isinstance(module, ResnetBlock2D)]
    found = [decoder.conv_act]
    found += [block.nonlinearity for block in blocks if block.time_emb_proj is None]
    return [one for one in found if isinstance(one, torch.nn.SiLU)]


def _is_compiled(part: Any) -> bool:
    return any(module._compiled_call_impl is not None for module in part.modules())


def without_last_layer(encoder: Any) -> Any | None:
    """Return a view of a CLIP text encoder whose output is that of the layer before the last.

    It shares all modules, adapters included. ``None`` for an encoder of another build.
    """
    if hasattr(encoder, "text_model"):  # transformers before 5.6
        inner = without_last_layer(encoder.text_model)
        return None if inner is None else _view(encoder, text_model=inner)
    layers = getattr(getattr(encoder, "encoder", None), "layers", None)
    if layers is None or len(layers) < 2 or not hasattr(encoder, "final_layer_norm"):
        return None
    shorter = _view(encoder.encoder, layers=torch.nn.ModuleList(list(layers)[:-1]))
    return _view(encoder, encoder=shorter, final_layer_norm=torch.nn.Identity())


def _view(module: Any, **replaced: torch.nn.Module) -> Any:
    """Return a module that shares everything with another one but some of its children."""
    view = copy.copy(module)
    view._modules = {**module._modules, **replaced}
    return view
