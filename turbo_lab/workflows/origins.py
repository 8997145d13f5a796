"""Origins of a cell's weights and prompts, for its record and its images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from turbo_lab.cards import AdapterFiles, ModelCard, ModelFiles, VaeFiles, adapter_names
from turbo_lab.cards.card import vae_names
from turbo_lab.cards.packaged import packaged_names
from turbo_lab.environment import GitState
from turbo_lab.execute.context import CellOrigin
from turbo_lab.request.recipe import Cell
from turbo_lab.request.resolve import Library
from turbo_lab.request.source import RESIZE
from turbo_lab.store.provenance import Provenance, SourceOrigin, WeightsOrigin
from turbo_lab.untrusted.paths import user_path


def cell_origin(library: Library, git: GitState | None, cell: Cell) -> CellOrigin:
    """Return the names and the provenance of what a cell is made with.

    ``git``: the state of the working directory's repository; ``None``: it is not in one.
    """
    card, files = library.cards[cell.request.model, cell.recipe.model]
    adapters = [library.adapters[key] for key, _ in cell.recipe.lora]
    vaes = [library.vaes[value] for key, value in cell.recipe.variant if key == "vae"]
    prompts = library.prompt_sets[cell.prompt_set]
    sources = _sources(library, cell)
    model = cell.request.model
    return CellOrigin(
        names={
            cell.recipe.model: model,
            **{adapter.digest: adapter.name for adapter in adapters},
            **{vae.digest: vae.name for vae in vaes},
        },
        provenance=Provenance(
            models={model: _model_origin(card, files), **{v.name: _vae_origin(v) for v in vaes}},
            adapters={adapter.name: _adapter_origin(adapter) for adapter in adapters},
            prompt_sets={prompts.name: prompts.digest},
            git=git,
            sources=sources or None,
        ),
        source_names={digest: source.name for digest, source in sources.items()},
        hashes=_hashes(files, adapters),
    )


def _hashes(model: ModelFiles, adapters: Sequence[AdapterFiles]) -> dict[str, str]:
    """Return the hashes that other programs know weights by: only what is known already."""
    known = {one.digest: one.tensors_digest for one in adapters}
    known[model.digest] = model.checkpoint_sha256
    return {digest: value for digest, value in known.items() if value is not None}


def _sources(library: Library, cell: Cell) -> dict[str, SourceOrigin]:
    used = dict.fromkeys(digest for batch in cell.batches for digest in batch.layout.sources)
    found = {digest: library.sources[digest] for digest in used}
    return {
        digest: SourceOrigin(one.name, one.path, one.width, one.height, RESIZE)
        for digest, one in found.items()
    }


def _model_origin(card: ModelCard, files: ModelFiles) -> WeightsOrigin:
    origin = _origin(files)
    if card.path is None:
        return origin
    path = str(user_path(card.path).resolve())
    return replace(origin, path=path, base=card.base, variant=card.variant)


def _adapter_origin(adapter: AdapterFiles) -> WeightsOrigin:
    origin = _origin(adapter)
    return origin if adapter.name in adapter_names() else replace(origin, path=str(adapter.path))


def _vae_origin(vae: VaeFiles) -> WeightsOrigin:
    is_own = vae.name not in (*vae_names(), *packaged_names())
    return replace(_origin(vae), path=str(vae.path)) if is_own else _origin(vae)


def _origin(files: ModelFiles | AdapterFiles | VaeFiles) -> WeightsOrigin:
    return WeightsOrigin(files.digest, files.revision, files.license, files.license_source)
