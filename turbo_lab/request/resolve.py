"""From names to content: what the user asked for becomes cells with digests.

Owns the step between a validated ``Request`` and a ``Cell``: finds the files of
models and adapters, reads prompt sets, and writes the recipe in its canonical
form, in which equal work has equal identity. No torch, nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from turbo_lab.cards import (
    AdapterCard,
    AdapterFiles,
    ConfigNode,
    ModelCard,
    ModelFiles,
    VaeFiles,
    adapter_card,
    adapter_names,
    check_adapter_fits,
    locate,
    locate_adapter,
    locate_vae,
    model_card_from_config,
    pin_revision,
)
from turbo_lab.environment import ABSENT, package_version
from turbo_lab.errors import InputError, MissingFilesError
from turbo_lab.identity import canonical_json, sha256_text
from turbo_lab.request.prompts import PromptSet, prompts_from_config
from turbo_lab.request.recipe import (
    AxisValues,
    Batch,
    Cell,
    Layout,
    Recipe,
    image_order,
    split_layouts,
)
from turbo_lab.request.request import LoraUse, Request


@dataclass
class Library:
    """Files found so far, by name and by digest; each is looked up once a sweep."""

    models: dict[str, tuple[ModelCard, ModelFiles]] = field(default_factory=dict)
    """By the model's digest; of cards with equal weights the last."""
    cards: dict[tuple[str, str], tuple[ModelCard, ModelFiles]] = field(default_factory=dict)
    """By a card's name and its model's digest: equal weights may have several cards."""
    adapters: dict[str, AdapterFiles] = field(default_factory=dict)
    """By the adapter's digest."""
    vaes: dict[str, VaeFiles] = field(default_factory=dict)
    """By the VAE's digest: those that take the place of a checkpoint's own."""
    prompt_sets: dict[str, PromptSet] = field(default_factory=dict)
    """By the set's digest."""
    _models_by_name: dict[str, tuple[ModelCard, ModelFiles]] = field(default_factory=dict)
    _adapters_by_name: dict[str, AdapterFiles] = field(default_factory=dict)
    _vaes_by_name: dict[str, VaeFiles] = field(default_factory=dict)
    _prompts_by_name: dict[str, PromptSet] = field(default_factory=dict)
    _layouts: dict[Hashable, tuple[Layout, ...]] = field(default_factory=dict)
    _recipes: dict[Recipe, Recipe] = field(default_factory=dict)
    _misfits: dict[tuple[str, str], str | None] = field(default_factory=dict)

    def model(self, node: ConfigNode) -> tuple[ModelCard, ModelFiles]:
        """Return the card and the files that a ``model`` node names."""
        name = canonical_json(node.values)
        if name not in self._models_by_name:
            card = model_card_from_config(node.values)
            files = locate(card)
            self._models_by_name[name] = self.models[files.digest] = (card, files)
            self.cards[card.name, files.digest] = (card, files)
        return self._models_by_name[name]

    def adapter(self, name: str) -> AdapterFiles:
        """Files of an adapter by card name or path."""
        if name not in self._adapters_by_name:
            files = locate_adapter(name)
            self._adapters_by_name[name] = self.adapters[files.digest] = files
        return self._adapters_by_name[name]

    def vae(self, name: str) -> VaeFiles:
        """Files of a VAE by name or folder."""
        if name not in self._vaes_by_name:
            files = locate_vae(name)
            self._vaes_by_name[name] = self.vaes[files.digest] = files
        return self._vaes_by_name[name]

    def prompts(self, node: ConfigNode, prompt: object) -> PromptSet:
        """Return the set that a ``prompts`` node names, or a set of the one ``prompt``."""
        name = canonical_json([node.values, prompt])
        if name not in self._prompts_by_name:
            found = prompts_from_config(node, prompt)
            self._prompts_by_name[name] = self.prompt_sets[found.digest] = found
        return self._prompts_by_name[name]

    def layouts(self, prompts: PromptSet, request: Request) -> tuple[Layout, ...]:
        """Batches of images; cells that have the same ones share the objects."""
        key = (
            prompts.digest,
            request.num_images,
            request.seed,
            request.seed_mode,
            request.batch_size,
        )
        if key not in self._layouts:
            texts, seeds = image_order(
                prompts.prompts, request.num_images, request.seed, request.seed_mode
            )
            self._layouts[key] = split_layouts(texts, seeds, request.batch_size)
        return self._layouts[key]

    def misfit(self, model: ModelFiles, adapters: Sequence[AdapterFiles]) -> str | None:
        """What is wrong with the first adapter that is not for this model; ``None``: nothing."""
        for adapter in adapters:
            pair = (model.digest, adapter.digest)
            if pair not in self._misfits:
                self._misfits[pair] = _misfit(adapter, model)
            if (reason := self._misfits[pair]) is not None:
                return reason
        return None

    def intern(self, recipe: Recipe) -> Recipe:
        """One object for equal recipes, so that a digest is taken once."""
        return self._recipes.setdefault(recipe, recipe)


def resolve(values: Mapping[str, object], axes: AxisValues, library: Library) -> Cell:
    """Return the cell of a grid point.

    Raises ``InputError`` for a wrong value, and ``MissingFilesError`` for absent files.
    """
    request, config = Request.from_config(values), ConfigNode(values)
    prompts = library.prompts(config.node("prompts"), config.get("prompt"))
    model = library.model(config.node("model"))
    return resolve_request(request, model, prompts, axes, library)


def resolve_request(
    request: Request,
    model: tuple[ModelCard, ModelFiles],
    prompts: PromptSet,
    axes: AxisValues,
    library: Library,
) -> Cell:
    """Return the cell of a request for one model and one prompt set.

    A LoRA of another architecture is not an error here: it may fit another model of the
    grid. Raises ``InputError`` and ``MissingFilesError``.
    """
    card, files = model
    layouts = library.layouts(prompts, request)
    negative = request.negative_prompt
    guided = request.guidance_scale > 1 and not files.has_time_cond
    # Where zeros are not forced, diffusers encodes an empty text in place of none.
    if not guided or (negative == "" and not files.force_zeros):
        negative = None
    stack = _lora_stack(card, request.lora, library)
    recipe = library.intern(
        Recipe(
            model=files.digest,
            scheduler=canonical_scheduler(files.scheduler, card.scheduler, request.scheduler),
            lora=tuple((adapter.digest, weight) for adapter, weight in stack),
            num_inference_steps=request.num_inference_steps,
            guidance_scale=_canonical_guidance(request.guidance_scale, files.has_time_cond),
            negative_prompt=None if negative is None else sha256_text(negative),
            width=request.width,
            height=request.height,
            dtype=request.dtype,
            variant=_variant(request, files, library),
        )
    )
    batches = tuple(Batch(recipe, layout) for layout in layouts)
    misfit = library.misfit(files, [adapter for adapter, _ in stack])
    return Cell(request, recipe, batches, negative, axes, prompts.digest, misfit)


def pin_revisions(library: Library, lock: Path) -> None:
    """Hold what cards leave open to the commit of its first use.

    Raises :class:`InputError` where the cache has moved on since.
    """
    named = adapter_names()
    cards: list[tuple[ModelCard | AdapterCard, str | None]] = [
        *((card, files.revision) for card, files in library.models.values()),
        *(
            (adapter_card(files.name), files.revision)
            for files in library.adapters.values()
            if files.name in named
        ),
    ]
    for card, revision in cards:
        if card.repository and revision and card.revision is None:
            pin_revision(lock, card.repository, revision)


def canonical_scheduler(
    config: Mapping[str, object], card_override: Mapping[str, object] | None, name: str | None
) -> str:
    """Class and config as canonical JSON: the checkpoint's, the card's, then the user's."""
    merged = {**config, **(card_override or {})}
    merged["_class_name"] = name or merged["_class_name"]
    kept = {k: v for k, v in merged.items() if not k.startswith("_") or k == "_class_name"}
    return canonical_json(kept)


def _canonical_guidance(guidance_scale: float, has_time_cond: bool) -> float:
    """0.0 wherever guidance has no effect (diffusers: at most 1, no embedding)."""
    return guidance_scale if guidance_scale > 1 or has_time_cond else 0.0


def _variant(request: Request, files: ModelFiles, library: Library) -> tuple[tuple[str, str], ...]:
    """What is changed about the pipeline itself, sorted."""
    variant = request.pipeline.variant()
    if files.has_time_cond:
        variant["guidance"] = "embedded"
    if "quantization" in variant:
        # Another version may round otherwise: it is part of what the weights are.
        variant["quantization"] += f" torchao {_torchao_version()}"
    if request.vae is not None:
        variant["vae"] = library.vae(request.vae).digest
    return tuple(sorted(variant.items()))


def _torchao_version() -> str:
    version = package_version("torchao")
    if version == ABSENT:
        raise MissingFilesError("quantization: needs torchao; pip install 'turbo-lab[quantize]'")
    return version


def _misfit(adapter: AdapterFiles, model: ModelFiles) -> str | None:
    try:
        check_adapter_fits(adapter, model)
    except InputError as error:
        return str(error)
    return None


def _lora_stack(
    card: ModelCard, uses: Sequence[LoraUse], library: Library
) -> list[tuple[AdapterFiles, float]]:
    """The card's own adapter (LCM-LoRA), then the user's; weight 0 is left out.

    The order stays as given: sums of floats depend on it.
    """
    own = [LoraUse(card.adapter, 1.0)] if card.adapter else []
    found = [(library.adapter(use.name), use.weight) for use in [*own, *uses]]
    return [(adapter, weight) for adapter, weight in found if weight != 0]
