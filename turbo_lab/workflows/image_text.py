"""The recipe that turbo-lab writes into its images, read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from turbo_lab.cards import adapter_names, model_names
from turbo_lab.cards.card import vae_names
from turbo_lab.cards.packaged import packaged_names
from turbo_lab.documents.document import read_value
from turbo_lab.documents.inspection import BatchRows
from turbo_lab.errors import MALFORMED, InputError
from turbo_lab.identity import sha256_text
from turbo_lab.request.recipe import Recipe
from turbo_lab.request.source import PICTURES, packaged_sets
from turbo_lab.store.provenance import WeightsOrigin
from turbo_lab.store.record import Exactness
from turbo_lab.store.store import Store
from turbo_lab.untrusted.json_text import parse_json

OWN_TEXT = "turbo-lab"
"""Name of the text in an image that holds its recipe."""


@dataclass(frozen=True)
class ImageText:
    """The JSON text in a PNG file that turbo-lab wrote."""

    recipe: Mapping[str, object]
    """Recipe, as JSON values."""
    rows: BatchRows
    """All rows of the batch."""
    row: int
    """Row of the image in its batch."""
    pixel_sha256: str
    """sha256 of the pixels that were drawn."""
    exactness: Exactness = Exactness.EXACT
    """Exactness of the batch."""
    negative_prompt: str | None = None
    """Text of the negative prompt; ``None``: it has no effect, or an old PNG does not say."""
    stages: Mapping[str, str] | None = None
    """sha256 by stage; ``None``: none were recorded."""
    keys: Mapping[str, str | int] | None = None
    """Fingerprint keys of the environment; ``None``: an old PNG does not say."""
    models: Mapping[str, str] = field(default_factory=dict)
    """Names of its model, adapters and VAE, by digest."""
    sources: Mapping[str, str] | None = None
    """Names of its source images' files, by digest; ``None``: text to image."""


def read_image_text(path: Path, text: str) -> tuple[ImageText, Recipe]:
    """Return what the text in an image says, and its recipe. Raises :class:`InputError`."""
    where = f"{path}: its turbo-lab recipe"
    try:
        about = read_value(ImageText, parse_json(text), where)
        recipe = Recipe.from_plain(about.recipe)
        _check_negative_prompt(recipe, about.negative_prompt, path)
    except MALFORMED as error:
        raise InputError(f"{where}: is damaged ({error})") from error
    if not 0 <= about.row < len(about.rows.seeds):
        raise InputError(f"{where}: is damaged (row {about.row} of {len(about.rows.seeds)})")
    return about, recipe


def _check_negative_prompt(recipe: Recipe, text: str | None, path: Path) -> None:
    """Refuse a text that is not the one whose digest is in the recipe."""
    if recipe.negative_prompt is not None and text is None:
        raise InputError(
            f"{path}: was drawn with a negative prompt, whose text an old turbo-lab did not write "
            "into the PNG; name its record instead"
        )
    if recipe.negative_prompt != (None if text is None else sha256_text(text)):
        raise InputError(
            f"{path}: its negative prompt is not the one that its recipe names; it was changed "
            "after it was drawn"
        )


def own_origins(
    store: Store | None, recipe: Recipe, names: Mapping[str, str]
) -> dict[str, WeightsOrigin]:
    """Return the recorded origins of those of a recipe's weights that are the user's own."""
    carded = {*model_names(), *adapter_names(), *vae_names(), *packaged_names()}
    wanted = {digest for digest in recipe.weights if names.get(digest) not in carded}
    found: dict[str, WeightsOrigin] = {}
    if store is not None and wanted:
        for record in store.records():
            found |= {one.digest: one for one in record.provenance.weights.values() if one.path}
    return {digest: found[digest] for digest in wanted if digest in found}


def near(path: Path, name: str) -> tuple[Path, ...]:
    """Return where a source of that name may be: next to ``path``, here, or in the package."""
    packaged = (PICTURES / one / name for one in packaged_sets())
    return path.parent / name, Path(name), *packaged
