"""From names to content: a validated ``Request`` becomes a ``Cell`` with digests.

Owns the lookup of models, adapters, VAEs and prompt sets, and the canonical form of a recipe,
in which equal work has equal identity. Imports no torch and downloads nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from turbo_lab.cards import (
    AdapterCard,
    AdapterFiles,
    ConfigNode,
    LacksLayersError,
    ModelCard,
    ModelFiles,
    VaeFiles,
    adapter_card,
    adapter_names,
    check_adapter_fits,
    check_is_whole,
    locate,
    locate_adapter,
    locate_vae,
    model_card_from_config,
    pin_revision,
)
from turbo_lab.cards.absent import absence, absent_adapter, absent_model, absent_vae
from turbo_lab.cards.card import Card, vae_card, vae_names
from turbo_lab.environment import ABSENT, package_version
from turbo_lab.errors import InputError, MissingFilesError
from turbo_lab.identity import canonical_json, sha256_text
from turbo_lab.request.own_model import assumptions, is_own, with_native_size, with_own_name
from turbo_lab.request.prompts import PromptSet, prompts_from_config, with_replaced_text
from turbo_lab.request.recipe import (
    AxisValues,
    Batch,
    Cell,
    Layout,
    Recipe,
    canonical_strength,
    fewest_steps,
    image_order,
    split_layouts,
    steps_run,
)
from turbo_lab.request.request import MAX_STEPS, NATIVE, LoraUse, Request
from turbo_lab.request.scheduler import canonical_scheduler, check_scheduler, too_many_steps
from turbo_lab.request.source import Source, crop_note, read_sources, source_files

F = TypeVar("F")


@dataclass
class Library:
    """Files found so far, by name and by digest; each is looked up once per sweep."""

    is_for_plan: bool = False
    """``True``: weights of the hub that are not on this machine have a stand-in."""
    absent: dict[str, str] = field(default_factory=dict)
    """Names of cards whose weights have a stand-in, each with a note for people."""
    models: dict[str, tuple[ModelCard, ModelFiles]] = field(default_factory=dict)
    """Cards and files by the model's digest; the last one of several cards with equal weights."""
    cards: dict[tuple[str, str], tuple[ModelCard, ModelFiles]] = field(default_factory=dict)
    """Cards and files by the card's name and the model's digest."""
    adapters: dict[str, AdapterFiles] = field(default_factory=dict)
    """Adapters by digest."""
    vaes: dict[str, VaeFiles] = field(default_factory=dict)
    """VAEs that replace the checkpoint's own, by digest."""
    prompt_sets: dict[str, PromptSet] = field(default_factory=dict)
    """Prompt sets by digest."""
    sources: dict[str, Source] = field(default_factory=dict)
    """Source images by digest."""
    _models_by_name: dict[str, tuple[ModelCard, ModelFiles]] = field(default_factory=dict)
    _adapters_by_name: dict[str, AdapterFiles] = field(default_factory=dict)
    _vaes_by_name: dict[str, VaeFiles] = field(default_factory=dict)
    _prompts_by_name: dict[str, PromptSet] = field(default_factory=dict)
    _sources_by_name: dict[Hashable, tuple[Source, ...]] = field(default_factory=dict)
    _layouts: dict[Hashable, tuple[Layout, ...]] = field(default_factory=dict)
    _recipes: dict[Recipe, Recipe] = field(default_factory=dict)
    _misfits: dict[tuple[str, str], InputError | None] = field(default_factory=dict)

    def model(self, node: ConfigNode, given: Collection[str] = ()) -> tuple[ModelCard, ModelFiles]:
        """Return the card and the files that a ``model`` node names.

        ``given``: config keys that the user named.
        """
        name = canonical_json(node.values)
        if name not in self._models_by_name:
            card = model_card_from_config(node.values)
            hub = card if card.path is None else None
            files = self._found(hub, partial(locate, card), partial(absent_model, card))
            card, files = with_own_name(card, files, given)
            self._models_by_name[name] = self.models[files.digest] = (card, files)
            self.cards[card.name, files.digest] = (card, files)
        return self._models_by_name[name]

    def adapter(self, name: str) -> AdapterFiles:
        """Return the files of an adapter; ``name``: name of a card, or a path."""
        if name not in self._adapters_by_name:
            card = adapter_card(name) if name in adapter_names() else None
            stand_in = None if card is None else partial(absent_adapter, card)
            files = self._found(card, partial(locate_adapter, name), stand_in)
            self._adapters_by_name[name] = self.adapters[files.digest] = files
        return self._adapters_by_name[name]

    def vae(self, name: str) -> VaeFiles:
        """Return the files of a VAE; ``name``: name of a packaged VAE, or a folder."""
        if name not in self._vaes_by_name:
            card = vae_card(name) if name in vae_names() else None
            stand_in = None if card is None else partial(absent_vae, card)
            files = self._found(card, partial(locate_vae, name), stand_in)
            self._vaes_by_name[name] = self.vaes[files.digest] = files
        return self._vaes_by_name[name]

    def _found(
        self, card: Card | None, find: Callable[[], F], stand_in: Callable[[], F] | None
    ) -> F:
        """Return the files of a card or of the user, or a stand-in for what a plan may lack."""
        try:
            return find()
        except MissingFilesError:
            if not self.is_for_plan or card is None or stand_in is None or card.source != "hub":
                raise
            self.absent[card.name] = absence(card)
            return stand_in()

    def prompts(self, node: ConfigNode, prompt: object) -> PromptSet:
        """Return the set that a ``prompts`` node names, or a set of the one ``prompt``."""
        name = canonical_json([node.values, prompt])
        if name not in self._prompts_by_name:
            found = prompts_from_config(node, prompt)
            self._prompts_by_name[name] = self.prompt_sets[found.digest] = found
        return self._prompts_by_name[name]

    def replaced(
        self, prompts: PromptSet, search: str | None, replacement: str | None
    ) -> PromptSet:
        """Return the set with ``search`` replaced in its prompts; the same set if ``None``."""
        if search is None and replacement is None:
            return prompts
        found = with_replaced_text(prompts, search, replacement)
        return self.prompt_sets.setdefault(found.digest, found)

    def source_images(self, request: Request) -> tuple[Source, ...]:
        """Return the source images of a request, at its size; empty for text to image."""
        if request.image is None:
            return ()
        key = (request.image, request.size, request.num_images)
        if key not in self._sources_by_name:
            files = source_files(request.image)[: request.num_images]
            self._sources_by_name[key] = found = read_sources(files, request.size)
            self.sources |= {one.digest: one for one in found}
        return self._sources_by_name[key]

    def layouts(self, prompts: PromptSet, request: Request) -> tuple[Layout, ...]:
        """Return the batches of a request; requests with equal batches get the same objects."""
        sources = tuple(one.digest for one in self.source_images(request))
        key = (
            prompts.digest,
            request.num_images,
            request.seed,
            request.seed_mode,
            request.batch_size,
            sources,
        )
        if key not in self._layouts:
            texts, seeds = image_order(
                prompts.prompts,
                request.num_images,
                seed=request.seed,
                seed_mode=request.seed_mode,
                num_sources=len(sources),
            )
            self._layouts[key] = split_layouts(texts, seeds, request.batch_size, sources)
        return self._layouts[key]

    def misfit(self, model: ModelFiles, adapters: Sequence[AdapterFiles]) -> str | None:
        """Return why the first adapter that does not fit the model fails; ``None``: all fit."""
        for adapter in adapters if model.name not in self.absent else ():
            pair = (model.digest, adapter.digest)
            if pair not in self._misfits:
                self._misfits[pair] = _misfit(adapter, model)
            if (reason := self._misfits[pair]) is not None:
                return str(reason)
        return None

    @property
    def assumptions(self) -> list[str]:
        """Assumptions about what the files leave open, one line each."""
        return [files.assumption for files in self.adapters.values() if files.assumption]

    def refuse_unfit(self) -> None:
        """Raise :class:`InputError` for an adapter that lacks layers in every model it is for."""
        for digest in self.adapters:
            found = [error for (_, one), error in self._misfits.items() if one == digest]
            if found and all(isinstance(error, LacksLayersError) for error in found):
                assert found[0] is not None
                raise found[0]

    def intern(self, recipe: Recipe) -> Recipe:
        """Return one object for equal recipes, so that a digest is computed once."""
        return self._recipes.setdefault(recipe, recipe)


def resolve(
    values: Mapping[str, object],
    axes: AxisValues,
    library: Library,
    given: Collection[str] = (),
) -> Cell:
    """Return the cell of a grid point.

    ``given``: config keys that the user named. Raises ``InputError`` for a wrong value, and
    ``MissingFilesError`` for absent files.
    """
    config = ConfigNode(values)
    is_native = config.get("resolution") == NATIVE
    # The cheap rules first: the size of a model is known once its files are found.
    request = Request.from_config({**values, "resolution": 64} if is_native else values)
    prompts = library.prompts(config.node("prompts"), config.get("prompt"))
    prompts = library.replaced(
        prompts, config.optional_text("prompt_search"), config.optional_text("prompt_sr")
    )
    card, files = library.model(config.node("model"), given)
    notes: tuple[str, ...] = ()
    if is_native:
        request = with_native_size(request, files)
    if is_own(request.model, request.model_path, given):
        notes = assumptions(request.model, files, request, given)
    request = replace(request, model=card.name, prompts=prompts.name)
    cell = resolve_request(request, (card, files), prompts, axes=axes, library=library)
    return replace(cell, notes=(*notes, *cell.notes))


def resolve_request(
    request: Request,
    model: tuple[ModelCard, ModelFiles],
    prompts: PromptSet,
    axes: AxisValues,
    library: Library,
) -> Cell:
    """Return the cell of a request for one model and one prompt set.

    A LoRA for another architecture is not an error here, because it may fit another model of
    the grid. Raises ``InputError`` for a wrong value, and ``MissingFilesError`` for absent files.
    """
    card, files = model
    check_is_whole(files, has_vae=request.vae is not None)
    layouts = library.layouts(prompts, request)
    negative = _negative_prompt(request, files)
    stack = _lora_stack(card, request.lora, library)
    notes = check_scheduler(files.scheduler, card.scheduler, request.scheduler)
    scheduler = canonical_scheduler(files.scheduler, card.scheduler, request.scheduler)
    recipe = Recipe(
        model=files.digest,
        scheduler=scheduler,
        lora=tuple((adapter.digest, weight) for adapter, weight in stack),
        num_inference_steps=request.num_inference_steps,
        guidance_scale=_canonical_guidance(request.guidance_scale, files.has_time_cond),
        negative_prompt=None if negative is None else sha256_text(negative),
        width=request.width,
        height=request.height,
        dtype=request.dtype,
        variant=_variant(request, files, library),
        strength=None
        if request.strength is None
        else canonical_strength(request.num_inference_steps, request.strength),
    )
    recipe = library.intern(recipe)
    misfit = library.misfit(files, [adapter for adapter, _ in stack])
    return Cell(
        request=request,
        recipe=recipe,
        batches=tuple(Batch(recipe, layout) for layout in layouts),
        negative_prompt=negative,
        axes=axes,
        prompt_set=prompts.digest,
        misfit=misfit
        or too_many_steps(scheduler, request.num_inference_steps)
        or _too_few_steps(request),
        notes=(*notes, *_source_notes(request, library)),
    )


def _too_few_steps(request: Request) -> str | None:
    """Return why no step would be run on a source image; ``None``: at least one is."""
    strength, steps = request.strength, request.num_inference_steps
    if strength is None or steps_run(steps, strength):
        return None
    needed = fewest_steps(strength)
    remedy = f"set num_inference_steps={needed}, or more" if needed <= MAX_STEPS else "raise it"
    return (
        f"strength={strength:g}: is less than one step of num_inference_steps={steps}, so that "
        f"no image would change; {remedy}"
    )


def _source_notes(request: Request, library: Library) -> tuple[str, ...]:
    if request.image is None:
        return ()
    note = crop_note(request.image, library.source_images(request), request.size)
    return () if note is None else (note,)


def _negative_prompt(request: Request, files: ModelFiles) -> str | None:
    """Return the negative prompt; ``None`` if it has no effect."""
    is_guided = request.guidance_scale > 1 and not files.has_time_cond
    # Unless zeros are forced, diffusers encodes an empty text if no negative prompt is given.
    is_default = request.negative_prompt == "" and not files.force_zeros
    return request.negative_prompt if is_guided and not is_default else None


def pin_revisions(library: Library, lock: Path) -> None:
    """Pin each revision that a card leaves open to the commit of its first use.

    Raises :class:`InputError` if the cache now has another commit.
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


def _canonical_guidance(guidance_scale: float, has_time_cond: bool) -> float:
    """Return 0.0 if the scale has no effect: up to 1, for a UNet that does not embed it."""
    return guidance_scale if guidance_scale > 1 or has_time_cond else 0.0


def _variant(request: Request, files: ModelFiles, library: Library) -> tuple[tuple[str, str], ...]:
    """Return the changes to the pipeline itself, sorted by name."""
    variant = request.pipeline.variant()
    if files.has_time_cond:
        variant["guidance"] = "embedded"
    if "quantization" in variant:
        # Another version of torchao may round differently, and so give other weights.
        variant["quantization"] += f" torchao {_torchao_version()}"
    if request.vae is not None:
        variant["vae"] = library.vae(request.vae).digest
    return tuple(sorted(variant.items()))


def _torchao_version() -> str:
    version = package_version("torchao")
    if version == ABSENT:
        raise MissingFilesError("quantization: needs torchao; pip install 'turbo-lab[quantize]'")
    return version


def _misfit(adapter: AdapterFiles, model: ModelFiles) -> InputError | None:
    try:
        check_adapter_fits(adapter, model)
    except InputError as error:
        return error
    return None


def _lora_stack(
    card: ModelCard, uses: Sequence[LoraUse], library: Library
) -> list[tuple[AdapterFiles, float]]:
    """Return the card's own adapter (LCM-LoRA), then the user's; leave weight 0 out.

    The order is kept, because sums of floats depend on it.
    """
    own = [LoraUse(card.adapter, 1.0)] if card.adapter else []
    found = [(library.adapter(use.name), use.weight) for use in [*own, *uses]]
    return [(adapter, weight) for adapter, weight in found if weight != 0]
