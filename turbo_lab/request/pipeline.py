"""Pipeline keys: the settings of a preset, their rules, and their part of a recipe.

Owns the list of settings, and which of them exclude each other. Refuses a combination that
cannot run, before torch is imported, in one line with the remedy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from turbo_lab import environment
from turbo_lab.cards.conf import ConfigNode
from turbo_lab.errors import InputError, NotOnThisMachineError

LOOPS = ("stock", "exact")
GRAPHS = ("none", "cuda")
COMPILE_MODES = ("none", "default", "reduce-overhead", "max-autotune")
COMPILE_SCOPES = ("unet", "unet+vae", "repeated-blocks", "repeated-blocks+vae")
MEMORY_FORMATS = ("contiguous", "channels_last")
ATTENTIONS = ("auto", "flash", "efficient", "math")
TF32 = ("auto", "none", "convolutions", "all")
QUANTIZATIONS = ("none", "int8wo", "int8dq", "float8wo", "float8dq")
OFFLOADS = ("none", "model", "sequential")

CHOICES: Mapping[str, tuple[str, ...]] = {
    "loop": LOOPS,
    "graphs": GRAPHS,
    "compile": COMPILE_MODES,
    "compile_scope": COMPILE_SCOPES,
    "memory_format": MEMORY_FORMATS,
    "attention": ATTENTIONS,
    "tf32": TF32,
    "quantization": QUANTIZATIONS,
    "offload": OFFLOADS,
}
"""Values of each key that is a name; all other keys are true or false."""

OWN_GRAPHS = ("reduce-overhead", "max-autotune")
"""Compile modes for which torch captures CUDA graphs by itself."""
# Needs the tensor cores' float8 products: Ada and Hopper.
_FLOAT8_CAPABILITY = (8, 9)
_TF32_CAPABILITY = (8, 0)


@dataclass(frozen=True)
class PipelineKeys:
    """Settings of the pipeline itself. Each default is what diffusers does."""

    loop: str = "stock"
    """Loop that is timed: diffusers' own call (``stock``), or ours with equal bits (``exact``)."""
    graphs: str = "none"
    """``cuda``: text encoders, UNet and VAE run as CUDA graphs; ``none``: they do not."""
    compile: str = "none"
    """Mode of ``torch.compile``."""
    compile_scope: str = "unet"
    """Parts that are compiled: the UNet, or its repeated blocks; ``+vae``: also the decoder."""
    memory_format: str = "contiguous"
    """Memory layout of the weights of UNet and VAE."""
    attention: str = "auto"
    """Preferred attention kernel; ``auto``: the order of the lane."""
    tf32: str = "auto"
    """Parts in float32 that a GPU computes in TF32. ``auto``: none in the image lane, torch's own
    choice (convolutions) in the timing lane."""
    fuse_qkv: bool = False
    """``True`` if the projections of an attention layer are one product."""
    quantization: str = "none"
    """Quantization of the UNet's linear layers by torchao; ``dq`` includes activations."""
    offload: str = "none"
    """Parts that wait in CPU memory: models (``model``), layers (``sequential``) or ``none``."""
    vae_slicing: bool = False
    """``True`` if the VAE decodes one image at a time."""
    vae_tiling: bool = False
    """``True`` if the VAE decodes large images in tiles."""

    @classmethod
    def from_config(cls, config: ConfigNode, device: str) -> PipelineKeys:
        """Return the preset's keys for ``device`` with the user's own on top.

        Raises :class:`InputError` for an unknown value. What cannot run is
        :meth:`check`'s to refuse.
        """
        preset = config.node("pipeline").node(device)
        chosen: dict[str, Any] = {}
        for key in fields(cls):
            node = preset if config.get(key.name) is None else config
            if node.get(key.name) is not None:
                chosen[key.name] = _valid(node, key.name)
        return cls(**chosen)

    @classmethod
    def from_variant(cls, variant: Mapping[str, str]) -> PipelineKeys:
        """Return the keys of a recipe's variant: the inverse of :meth:`variant`."""
        chosen: dict[str, Any] = {}
        for key in fields(cls):
            if key.name in variant:
                text = variant[key.name].partition(" ")[0]  # quantisation carries a version
                value = text == "true" if key.type == "bool" else text
                chosen[key.name] = _valid(ConfigNode({key.name: value}), key.name)
        return cls(**chosen)

    def variant(self) -> dict[str, str]:
        """Return what differs from the defaults, for a recipe; what has no effect is left out."""
        chosen = {
            key.name: "true" if value is True else str(value)
            for key in fields(self)
            if (value := getattr(self, key.name)) != key.default
        }
        if self.compile == "none":
            chosen.pop("compile_scope", None)
        return chosen

    def check(self, device: str, dtype: str, has_lora: bool = False) -> None:
        """Refuse what cannot run on ``device``, and what excludes each other.

        Raises :class:`InputError` with the remedy.
        """
        self._check_device(device, dtype)
        self._check_exclusions(has_lora)

    def _check_device(self, device: str, dtype: str) -> None:
        if device == "cpu":
            self._check_cpu(dtype)
            return
        if self.attention == "flash" and dtype == "float32":
            raise NotOnThisMachineError(
                "attention=flash: takes float16 and bfloat16 on a GPU; use attention=efficient, "
                "or dtype=float16"
            )
        if self.quantization.endswith("dq") and self.compile == "none":
            raise NotOnThisMachineError(
                f"quantization={self.quantization}: some 20 times slower on a GPU unless the UNet "
                "is compiled; add compile=default"
            )
        gpu = environment.read_gpu()
        capability = gpu and tuple(map(int, gpu.compute_capability.split(".")))
        if self.quantization == "float8dq" and capability and capability < _FLOAT8_CAPABILITY:
            assert gpu is not None
            raise NotOnThisMachineError(
                f"quantization=float8dq: {gpu.name} has no float8 products (compute capability "
                f"{gpu.compute_capability}, needs 8.9); use int8dq, or float8wo"
            )
        if self.tf32 in ("convolutions", "all") and capability and capability < _TF32_CAPABILITY:
            assert gpu is not None
            raise NotOnThisMachineError(
                f"tf32={self.tf32}: {gpu.name} has no TF32 (compute capability "
                f"{gpu.compute_capability}, needs 8.0); use tf32=auto"
            )

    def _check_cpu(self, dtype: str) -> None:
        refused = {
            "graphs=cuda: this is a CPU; use graphs=none, or pipeline=exact, which takes graphs "
            "where there is a GPU": self.graphs == "cuda",
            f"offload={self.offload}: this is a CPU, where all weights are already; use "
            "offload=none": self.offload != "none",
            "attention=efficient: a CPU has flash and math only; use attention=auto": (
                self.attention == "efficient"
            ),
            f"tf32={self.tf32}: this is a CPU, which has no TF32; use tf32=auto": (
                self.tf32 != "auto"
            ),
            "quantization=float8dq: needs a GPU of compute capability 8.9 or more; use float8wo, "
            "or int8dq": self.quantization == "float8dq",
            f"quantization={self.quantization}: dtype=float16 gives other pictures on a CPU; use "
            "float32 or bfloat16": self.quantization != "none" and dtype == "float16",
        }
        _raise_first(refused, NotOnThisMachineError)

    def _check_exclusions(self, has_lora: bool) -> None:
        offloads, compiles = self.offload != "none", self.compile != "none"
        refused = {
            "graphs=cuda: the stock loop waits for the host inside its stages; add loop=exact, "
            "or use pipeline=exact": self.graphs == "cuda" and self.loop == "stock",
            f"graphs=cuda: compile={self.compile} already uses CUDA graphs; use graphs=none, or "
            "compile=default": self.graphs == "cuda" and self.compile in OWN_GRAPHS,
            f"offload={self.offload}: loop=exact needs all weights on the device; use loop=stock "
            "and graphs=none": offloads and self.loop == "exact",
            f"offload={self.offload}: compiled code would hold weights that move; use "
            "compile=none": offloads and compiles,
            f"offload={self.offload}: torchao's weights cannot be moved layer by layer; use "
            "quantization=none": self.offload == "sequential" and self.quantization != "none",
            "fuse_qkv=true: fused projections would ignore the LoRA; use fuse_qkv=false, or "
            "lora=none": self.fuse_qkv and has_lora,
        }
        _raise_first(refused)


def _raise_first(refused: Mapping[str, bool], error: type[InputError] = InputError) -> None:
    for text, is_refused in refused.items():
        if is_refused:
            raise error(text)


SWITCHES: tuple[str, ...] = tuple(key.name for key in fields(PipelineKeys) if key.type == "bool")
"""Keys that are true or false."""


def _valid(config: ConfigNode, key: str) -> str | bool:
    if key in CHOICES:
        return config.choice(key, CHOICES[key])
    return config.boolean(key)
