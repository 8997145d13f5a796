"""The resident pipeline of a process: the loaded weights and the adapters on them.

Owns loading and swapping. The old weights are dropped before the new ones are loaded, because
two models may not fit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turbo_lab.cards import ModelSource
from turbo_lab.progress import waiting
from turbo_lab.request.pipeline import PipelineKeys
from turbo_lab.request.recipe import Recipe
from turbo_lab.request.source import Size
from turbo_lab.runtime import seams
from turbo_lab.runtime.library_warnings import library_warnings

if TYPE_CHECKING:
    import numpy as np
    import torch
    from diffusers import StableDiffusionXLPipeline

    from turbo_lab.request.resolve import Library
    from turbo_lab.runtime.compilation import Compilation
    from turbo_lab.runtime.exact import ExactStages
    from turbo_lab.runtime.graphs import GraphBackend

_NO_EFFECT = "changes no weight: its products are all zero, as before training"
PutOn = Callable[[Any, seams.Adapters], None]
ReadSource = Callable[[Path, str, Size], "np.ndarray"]


@dataclass(frozen=True)
class Weights:
    """Files on this machine, by the digests that recipes name them with."""

    models: dict[str, ModelSource]
    """Model digest to what it is loaded from."""
    adapters: dict[str, tuple[str, Path]]
    """Adapter digest to its name and file."""
    vaes: dict[str, Path] = field(default_factory=dict)
    """VAE digest to its folder."""
    sources: dict[str, Path] = field(default_factory=dict)
    """Source image's digest to its file."""

    @classmethod
    def of(cls, *libraries: Library) -> Weights:
        """Collect the files of one library or several."""
        models: dict[str, ModelSource] = {}
        adapters: dict[str, tuple[str, Path]] = {}
        vaes: dict[str, Path] = {}
        sources: dict[str, Path] = {}
        for library in libraries:
            models |= {key: files.source for key, (_, files) in library.models.items()}
            adapters |= {key: (f.name, f.path) for key, f in library.adapters.items()}
            vaes |= {key: files.path for key, files in library.vaes.items()}
            sources |= {key: source.path for key, source in library.sources.items()}
        return cls(models, adapters, vaes, sources)

    def source_pixels(
        self, digest: str, size: Size, read: ReadSource = seams.read_source
    ) -> np.ndarray:
        """Return a source image's pixels at a size, (H, W, 3) uint8 RGB.

        Raises :class:`MissingFilesError` if its file has changed.
        """
        return read(self.sources[digest], digest, size)


def cuda_graphs(device: torch.device) -> GraphBackend:
    """Return the graphs of a CUDA device."""
    from turbo_lab.runtime.graphs import CudaGraphs

    return CudaGraphs(device)


@dataclass
class ResidentPipeline:
    """The one pipeline that this process has loaded on a device."""

    weights: Weights
    """Files of all recipes that may be asked for."""
    device: str
    """Device of the weights: ``cpu``, ``cuda`` or ``mps``."""
    compile_limit_s: float = 600.0
    """Longest compilation of one call, in seconds."""
    graph_backend: Callable[[torch.device], GraphBackend] = cuda_graphs
    """Makes the device that captures graphs."""
    load_s: float = field(default=0.0, init=False)
    """Seconds spent on imports and loading so far."""
    not_covered: str | None = field(default=None, init=False)
    """Part of the loaded pipeline that the sampler does not cover; ``None`` if it covers all."""
    keys: PipelineKeys = field(default=PipelineKeys(), init=False)
    """Settings of the loaded pipeline."""
    compilation: Compilation | None = field(default=None, init=False)
    """Compiled parts of the loaded pipeline; ``None``: nothing is compiled."""
    exact: ExactStages | None = field(default=None, init=False)
    """Stages of the exact loop; ``None``: the recipe asks for the stock call."""
    notes: tuple[str, ...] = field(default=(), init=False)
    """Remarks on the adapters that are on the pipeline, for the record."""
    adapter_warnings: tuple[str, ...] = field(default=(), init=False)
    """Warnings of the libraries while the adapters were put on, for the record."""
    load_warnings: tuple[str, ...] = field(default=(), init=False)
    """Warnings of the libraries while the weights were loaded, for the record."""
    adapter_changes: dict[str, float] = field(default_factory=dict, init=False)
    """Relative change of the weights by each adapter that is on the pipeline, by name."""
    version: int = field(default=0, init=False)
    """Count of changes to the weights or adapters; text encodings are valid for one version."""
    _pipeline: StableDiffusionXLPipeline | None = field(default=None, init=False)
    _model: tuple[Any, ...] | None = field(default=None, init=False)
    _adapters: tuple[Any, PutOn] | None = field(default=None, init=False)
    _weight_norms: dict[str, float] = field(default_factory=dict, init=False)
    _measured_prompts: set[str] = field(default_factory=set, init=False)

    @property
    def pipeline(self) -> StableDiffusionXLPipeline:
        """The loaded pipeline."""
        assert self._pipeline is not None, "nothing is loaded yet"
        return self._pipeline

    @property
    def weights_bytes(self) -> int:
        """Size of the pipeline's weights in memory, in bytes; LoRAs that are on it count."""
        from turbo_lab.runtime.memory import weights_bytes

        pipeline = self.pipeline
        parts = (pipeline.unet, pipeline.vae, pipeline.text_encoder, pipeline.text_encoder_2)
        return weights_bytes(parts)

    def holds(self, recipe: Recipe) -> bool:
        """Return whether the recipe's model is loaded, whichever adapters are on it."""
        return self._model == _model_key(recipe)

    def prepare(self, recipe: Recipe, put_on_lora: PutOn = seams.put_on_lora) -> None:
        """Load a recipe's weights and put its adapters on.

        Raises ``TurboLabError`` for weights or adapters that do not fit.
        """
        began = time.perf_counter()
        from turbo_lab.runtime.imports import uncollected_imports

        with waiting("importing torch and diffusers"), uncollected_imports():
            from turbo_lab.runtime import lora, runners  # noqa: F401  (all that drawing imports)

        keys = PipelineKeys.from_variant(dict(recipe.variant))
        keys.check(self.device, recipe.dtype, bool(recipe.lora))
        if not self.holds(recipe):
            with waiting(f"loading a pipeline onto {self.device}"):
                self._load(recipe, keys)
        adapters = (recipe.lora, put_on_lora) if recipe.lora else None
        if self._adapters != adapters:
            self._take_off()
            named = [(*self.weights.adapters[digest], weight) for digest, weight in recipe.lora]
            with library_warnings() as warned:
                put_on_lora(self.pipeline, named)
            names = [name for name, _, _ in named]
            idle = lora.without_effect(self.pipeline, names)
            self.adapter_changes = lora.relative_changes(self.pipeline, names, self._weight_norms)
            self.notes = tuple(f"lora={name}: {_NO_EFFECT}" for name in idle)
            self.adapter_warnings = tuple(warned)
            self._adapters = adapters
        self.load_s += time.perf_counter() - began

    def _load(self, recipe: Recipe, keys: PipelineKeys) -> None:
        import torch

        from turbo_lab.runtime.acceleration import accelerate
        from turbo_lab.runtime.compilation import Compilation
        from turbo_lab.runtime.pipeline import load_pipeline
        from turbo_lab.runtime.stock import why_not_covered

        self._pipeline, self._model, self._adapters, self.exact = None, None, None, None
        self._weight_norms = {}
        self.version += 1
        source, variant = self.weights.models[recipe.model], dict(recipe.variant)
        vae = self.weights.vaes[variant["vae"]] if "vae" in variant else None
        device = torch.device(self.device)
        with library_warnings() as warned:
            pipeline = load_pipeline(
                source, recipe.scheduler, recipe.dtype, device, vae=vae, offload=keys.offload
            )
        self.load_warnings = tuple(warned)
        torchao_version = variant.get("quantization", "").partition(" torchao ")[2] or None
        accelerate(pipeline, keys, torchao_version)
        self.compilation = None
        if keys.compile != "none":
            self.compilation = Compilation(keys.compile, self.compile_limit_s)
            self.compilation.apply(pipeline, keys.compile_scope)
        self.not_covered, self.keys = why_not_covered(pipeline), keys
        if keys.loop == "exact" and self.not_covered is None:
            self.exact = self._exact_stages(pipeline, device)
        self._pipeline, self._model = pipeline, _model_key(recipe)

    def _exact_stages(
        self, pipeline: StableDiffusionXLPipeline, device: torch.device
    ) -> ExactStages:
        from turbo_lab.runtime.exact import ExactStages
        from turbo_lab.runtime.graphs import GraphPool

        backend = self.graph_backend(device) if self.keys.graphs == "cuda" else None
        return ExactStages(pipeline, device, None if backend is None else GraphPool(backend))

    def _take_off(self) -> None:
        if self._adapters is not None:
            from turbo_lab.runtime import lora

            lora.take_off(self.pipeline)
        if self.exact is not None:
            self.exact.weights_changed()
        self._adapters, self.notes, self.adapter_warnings = None, (), ()
        self.adapter_changes = {}
        self.version += 1

    def cut_prompts(self, prompts: Sequence[str]) -> dict[str, str]:
        """Return prompts that the tokenizers cut, with the text that is lost; each only once."""
        from turbo_lab.runtime.pipeline import cut_prompts

        new = [prompt for prompt in prompts if prompt not in self._measured_prompts]
        self._measured_prompts.update(new)
        return cut_prompts(self.pipeline, new)


def _model_key(recipe: Recipe) -> tuple[Any, ...]:
    return (recipe.model, recipe.dtype, recipe.variant)
