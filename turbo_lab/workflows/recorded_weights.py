"""Weights of a recorded drawing, found again on this machine.

Owns where they are looked for: what the user gives, then the path in the record, then the card of
their name. Refuses weights with another digest than the recipe's, because they would draw another
picture.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from turbo_lab.cards import (
    AdapterFiles,
    ModelFiles,
    ModelSource,
    VaeFiles,
    locate,
    locate_adapter,
    locate_vae,
    model_card,
    model_names,
)
from turbo_lab.cards.card import local_card
from turbo_lab.errors import InputError, MissingFilesError
from turbo_lab.execute.resident import Weights
from turbo_lab.request.own_model import LOCAL
from turbo_lab.request.recipe import Recipe
from turbo_lab.store.provenance import WeightsOrigin
from turbo_lab.untrusted.json_text import parse_json


class _Digested(Protocol):
    @property
    def digest(self) -> str: ...


Files = TypeVar("Files", bound=_Digested)
_Find = Callable[[str], Files]
_PARTS = {"model.path": "model", "lora": "LoRA", "vae": "VAE"}


@dataclass(frozen=True)
class GivenFiles:
    """Files of the user that are not where they were when an image was drawn."""

    model: str | None = None
    """Folder or file of the model. ``None``: where the record says, or the card's."""
    base: str | None = None
    """Model or folder that gives the parts that ``model`` lacks. ``None``: the recorded one."""
    variant: str | None = None
    """Variant of the files of ``model``. ``None``: the recorded one."""
    adapters: tuple[str, ...] = ()
    """LoRA files, in any order."""
    vae: str | None = None
    """Folder of the VAE. ``None``: where the record says, or the card's."""
    image: str | None = None
    """File or folder of the source images. ``None``: they are where they were."""

    @classmethod
    def from_keys(cls, keys: Mapping[str, str]) -> GivenFiles:
        """Return the files that the keys of ``reproduce`` name."""
        lora = keys.get("lora", "")
        return cls(
            model=keys.get("model.path"),
            base=keys.get("model.base"),
            variant=keys.get("model.variant"),
            adapters=(lora,) if Path(lora).is_file() else tuple(filter(None, lora.split(","))),
            vae=keys.get("vae"),
            image=keys.get("image"),
        )


@dataclass(frozen=True)
class RecordedNames:
    """Names and origins of weights in a record or an image."""

    subject: str
    """Record id or PNG file, for messages."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Names by digest."""
    origins: Mapping[str, WeightsOrigin] = field(default_factory=dict)
    """Origins by digest; an image that was copied away from its store has none."""

    def label(self, digest: str) -> str:
        """Return the name and the digest of weights, for messages."""
        name = self.names.get(digest)
        return digest[:12] if name is None else f"{name} ({digest[:12]})"

    def path(self, digest: str) -> str | None:
        """Return the recorded path of the user's own weights; ``None`` if there is none."""
        origin = self.origins.get(digest)
        return None if origin is None else origin.path


def recorded_weights(recipe: Recipe, recorded: RecordedNames, given: GivenFiles) -> Weights:
    """Return the files with the recipe's digests.

    Raises :class:`MissingFilesError`, with the key that names files elsewhere, and
    :class:`InputError`.
    """
    model = _model(recipe, recorded, given)
    adapters = [_adapter(key, recorded, given) for key, _ in recipe.lora]
    vaes = [_vae(value, recorded, given) for key, value in recipe.variant if key == "vae"]
    return Weights(
        {recipe.model: model},
        {one.digest: (one.name, one.path) for one in adapters},
        {one.digest: one.path for one in vaes},
    )


def _model(recipe: Recipe, recorded: RecordedNames, given: GivenFiles) -> ModelSource:
    find = partial(_own_model, recipe, recorded, given)
    name = recorded.names.get(recipe.model)
    found = _own_files(recorded, recipe.model, "model.path", given.model, find)
    if found is None:
        if name is None or name == LOCAL or name not in model_names():
            raise _nowhere(recorded, recipe.model, "model.path")
        found = locate(model_card(name))
    if found.has_random_weights:
        raise _noise_error(recorded, found.name)
    if found.digest != recipe.model:
        raise MissingFilesError(
            f"{recorded.subject}: was drawn with {name} {recipe.model[:12]}, here {name} is "
            f"{found.digest[:12]}; install the turbo-lab (or the revision) that has it"
        )
    return found.source


def _own_model(recipe: Recipe, recorded: RecordedNames, given: GivenFiles, path: str) -> ModelFiles:
    """Return the user's own model at ``path``, with the settings that its digest depends on."""
    origin = recorded.origins.get(recipe.model)
    card = replace(
        local_card(Path(path)),
        base=given.base or (None if origin is None else origin.base),
        variant=given.variant or (None if origin is None else origin.variant),
        scheduler=parse_json(recipe.scheduler),
    )
    return locate(card)


def _adapter(digest: str, recorded: RecordedNames, given: GivenFiles) -> AdapterFiles:
    for path in given.adapters:
        found = locate_adapter(path)
        if found.digest == digest:
            return found
    own = _own_files(recorded, digest, "lora", None, locate_adapter)
    return own or _by_name(recorded, digest, "lora", locate_adapter)


def _vae(digest: str, recorded: RecordedNames, given: GivenFiles) -> VaeFiles:
    own = _own_files(recorded, digest, "vae", given.vae, locate_vae)
    found = own or _by_name(recorded, digest, "vae", locate_vae)
    if found.has_random_weights:
        raise _noise_error(recorded, found.name)
    return found


def _own_files(
    recorded: RecordedNames, digest: str, key: str, given: str | None, find: _Find[Files]
) -> Files | None:
    """Return the user's own files: those that were given, else those at the recorded path.

    ``None``: neither is there to look at. Raises :class:`MissingFilesError` for files that are
    gone or have another digest.
    """
    if given is not None:
        found = find(given)
        if found.digest != digest:
            raise MissingFilesError(
                f"{key}={given}: has digest {found.digest[:12]}, and {recorded.subject} was drawn "
                f"with {recorded.label(digest)}; give the files that it was drawn with"
            )
        return found
    path = recorded.path(digest)
    if path is None:
        return None
    try:
        found = find(path)
    except MissingFilesError as error:
        raise _nowhere(recorded, digest, key, f"is not at {path} any more") from error
    if found.digest != digest:
        reason = f"was at {path}, where other weights are now ({found.digest[:12]})"
        raise _nowhere(recorded, digest, key, reason)
    return found


def _by_name(recorded: RecordedNames, digest: str, key: str, find: _Find[Files]) -> Files:
    """Return an adapter's or VAE's files by the name or path that the user wrote."""
    name = recorded.names.get(digest)
    if name is None:
        raise _nowhere(recorded, digest, key)
    try:
        found = find(name)
    except MissingFilesError as error:
        raise MissingFilesError(f"{error}; if it was moved, give its new path as {key}=") from error
    if found.digest != digest:
        raise MissingFilesError(
            f"{recorded.subject}: its {_PARTS[key]} {name} was {digest[:12]}, here it is "
            f"{found.digest[:12]}; give the file that it was drawn with as {key}="
        )
    return found


def _nowhere(
    recorded: RecordedNames, digest: str, key: str, reason: str = "has no card and no recorded path"
) -> MissingFilesError:
    return MissingFilesError(
        f"{recorded.subject}: its {_PARTS[key]} {recorded.label(digest)} {reason}; give its files "
        f"with {key}=, which are used only if their digest is the same"
    )


def _noise_error(recorded: RecordedNames, name: str) -> InputError:
    return InputError(
        f"{recorded.subject}: {name} has random weights, which differ per device; its pixels are "
        "noise and are not reproduced: time it with turbo-lab bench"
    )
