"""The config keys that draw an image again: from turbo-lab's own recipe in it, else its infotext.

Owns where the weights are looked for: cards by name, and files whose digest is known. Hashes no
checkpoint to find one. Refuses an image whose weights are not here, with the key that names them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from turbo_lab import images
from turbo_lab.cards import adapter_names, locate, locate_adapter, model_card, model_names
from turbo_lab.cards.card import vae_names
from turbo_lab.cards.packaged import packaged_names
from turbo_lab.errors import InputError
from turbo_lab.identity import DigestCache
from turbo_lab.infotext import Infotext, LoraTag, is_infotext, keys_of
from turbo_lab.planning.resolved_sweep import ResolvedSweep
from turbo_lab.request.pipeline import PipelineKeys
from turbo_lab.request.recipe import Layout, Recipe
from turbo_lab.request.request import LoraUse, format_lora
from turbo_lab.request.scheduler import canonical_scheduler
from turbo_lab.store.layout import StoreLayout
from turbo_lab.store.store import Store
from turbo_lab.untrusted.json_text import parse_json
from turbo_lab.untrusted.paths import file_name, read_regular
from turbo_lab.workflows.drawable import check_drawable, check_size
from turbo_lab.workflows.image_text import OWN_TEXT, ImageText, near, own_origins, read_image_text

_MAX_BYTES = 100_000
# Names of the files that Stability AI published, in lower case.
_PUBLISHED = {
    "sd_xl_turbo_1.0": "sdxl-turbo",
    "sd_xl_turbo_1.0_fp16": "sdxl-turbo",
    "sd_xl_base_1.0": "sdxl-base",
    "sd_xl_base_1.0_0.9vae": "sdxl-base",
}
_OTHERS = {"workflow": "ComfyUI", "prompt": "ComfyUI", "invokeai_metadata": "InvokeAI"}


@dataclass(frozen=True)
class ImageKeys:
    """Keys of an image, as the text in it gives them."""

    subject: str
    """The file, for messages."""
    prompt: str
    """The prompt."""
    values: Mapping[str, object]
    """Values by config key, without those that the user gave."""
    notes: tuple[str, ...]
    """Differences from the image, and settings that were ignored, one line each."""
    recipe: Recipe | None = None
    """Recipe of an image that turbo-lab drew; ``None``: it was read from an infotext."""
    model_hash: str | None = None
    """Beginning of the sha256 of its checkpoint's file. ``None``: not known."""


def read_image_keys(path: Path, given: Collection[str], store: Path) -> ImageKeys:
    """Return the keys that draw an image again, read from it or from a text file.

    ``given``: config keys that the user sets, which are not read. ``store``: where the paths of
    the user's own weights are recorded. Raises :class:`InputError` for a file that says nothing,
    and for an image that cannot be drawn again.
    """
    texts = images.read_texts(path) if images.is_picture_name(path.name) else _text_file(path)
    if (own := texts.get(OWN_TEXT)) is not None:
        return _of_own(path, *read_image_text(path, own), given=given, store=store)
    text = texts.get("parameters", "")
    if len(text) > _MAX_BYTES:
        raise InputError(f"{path}: its text has {len(text):,} characters, over {_MAX_BYTES:,}")
    if not is_infotext(text):
        other = next((name for key, name in _OTHERS.items() if key in texts), None)
        what = f"only a workflow of {other}" if other else "no recipe of turbo-lab"
        raise InputError(f"{path}: holds {what}, and no text of A1111 or Forge to draw from")
    return _of_infotext(path, Infotext.parse(text), given)


def differences(found: ImageKeys, sweep: ResolvedSweep, given: Collection[str]) -> list[str]:
    """Return a line for each part of the image's recipe that a resolved sweep does not draw.

    Parts that the user set with ``given`` are left out.
    """
    cell = sweep.cells[0]
    if found.recipe is None:
        _, files = sweep.library.cards[cell.request.model, cell.recipe.model]
        own, wanted = files.checkpoint_sha256, found.model_hash
        if wanted is None or own is None or own.startswith(wanted):
            return []
        return [f"model: this file's hash is {own[:10]}, the image's is {wanted}"]
    named = {key.split(".")[0] for key in given}
    parts = {"width": "resolution", "height": "resolution"}
    own_keys = {"variant": {one.name for one in fields(PipelineKeys)} | {"vae", "pipeline"}}
    return [
        f"{part.name}: not the image's"
        for part in fields(Recipe)
        if getattr(cell.recipe, part.name) != getattr(found.recipe, part.name)
        and not named & own_keys.get(part.name, {parts.get(part.name, part.name)})
        and not ("model" in named and part.name == "scheduler")
    ]


def _text_file(path: Path) -> dict[str, str]:
    """Return the text of a file that other programs write next to an image."""
    try:
        content = read_regular(path, follow_links=True, limit_bytes=4 * _MAX_BYTES)
        return {"parameters": content.decode("utf-8-sig")}
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is neither an image nor a text in UTF-8") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def _of_infotext(path: Path, infotext: Infotext, given: Collection[str]) -> ImageKeys:
    """Return the keys of an infotext, with the weights that it names."""
    found = keys_of(infotext, str(path), given)
    values, notes = dict(found.values), list(found.notes)
    if (size := values.get("resolution")) is not None:
        check_size(str(size), str(path))
    adapter = None
    if not any(key.split(".")[0] == "model" for key in given):
        model, more = _model(path, found.model, found.model_hash)
        values |= model
        notes += more
        if (name := str(model["model"])) != "local":
            adapter = model_card(name).adapter
    if "lora" not in given:
        uses = [_lora(path, tag) for tag in found.loras if tag.weight and tag.name != adapter]
        values["lora"] = format_lora(uses)
    elif found.loras:
        names = ", ".join(tag.name[:80] for tag in found.loras)
        notes.append(f"lora: yours takes the place of {names}")
    return ImageKeys(
        str(path), found.prompt, values, tuple(notes), None, model_hash=found.model_hash
    )


def _model(
    path: Path, name: str | None, beginning: str | None
) -> tuple[dict[str, object], list[str]]:
    """Return the keys of the model that an infotext names. Raises :class:`InputError`."""
    file = _known_file(beginning)
    if file is not None:
        return {"model": "local", "model.path": str(file)}, []
    shown = f"{(name or 'no name')[:80]}{f' (hash {beginning})' if beginning else ''}"
    card = _PUBLISHED.get((name or "").lower(), name)
    if card in model_names() and card != "local":
        note = f"Model: {shown} is taken to be model={card}"
        return {"model": card}, [note] if card != name else []
    raise InputError(
        f"{path}: its model is not known here: {shown}; add model.path=FILE, or model=NAME to "
        "draw with another"
    )


def _lora(path: Path, tag: LoraTag) -> LoraUse:
    """Return the LoRA that a prompt names. Raises :class:`InputError`."""
    file = _known_file(tag.hash)
    if file is not None:
        return LoraUse(str(file), tag.weight)
    if tag.name in adapter_names():
        own = locate_adapter(tag.name)
        if tag.hash is None or (own.tensors_digest or "").startswith(tag.hash):
            return LoraUse(tag.name, tag.weight)
    shown = f"{tag.name[:80]}{f' (hash {tag.hash})' if tag.hash else ''}"
    raise InputError(
        f"{path}: its LoRA is not known here: {shown}; add lora=FILE@{tag.weight:g}, or lora=none "
        "to draw without it"
    )


def _known_file(beginning: str | None) -> Path | None:
    """Return a weight file whose digest is known and begins so; hashes nothing."""
    found = None if beginning is None else DigestCache().find(beginning)
    return found if found is not None and found.suffix == ".safetensors" else None


def _of_own(
    path: Path, about: ImageText, recipe: Recipe, *, given: Collection[str], store: Path
) -> ImageKeys:
    """Return the keys of an image that turbo-lab drew."""
    layout = Layout(about.rows.prompts, about.rows.seeds, about.rows.sources or ())
    check_drawable(recipe, [layout], str(path))
    values: dict[str, object] = {
        "num_inference_steps": recipe.num_inference_steps,
        "guidance_scale": recipe.guidance_scale,
        "resolution": f"{recipe.width}x{recipe.height}",
        "seed": about.rows.seeds[about.row],
        "negative_prompt": about.negative_prompt,
        "dtype": recipe.dtype,
        **_pipeline(recipe),
    }
    names = _Weights(path, recipe, about, store)
    values |= {} if "vae" in given else names.vae()
    if not any(key.split(".")[0] == "model" for key in given):
        values |= names.model()
    if "lora" not in given:
        values["lora"] = names.loras(str(values.get("model")))
    if recipe.strength is not None:
        values |= {"strength": recipe.strength}
        values |= {} if "image" in given else {"image": _source(path, about)}
    rows = len(about.rows.prompts)
    notes = [
        f"drawn alone, and not in a batch of {rows}: some bits may differ; turbo-lab reproduce "
        f"{path} draws the same bits"
    ]
    return ImageKeys(
        subject=str(path),
        prompt=about.rows.prompts[about.row],
        values={key: value for key, value in values.items() if key not in given},
        notes=tuple(notes) if rows > 1 else (),
        recipe=recipe,
    )


def _pipeline(recipe: Recipe) -> dict[str, object]:
    """Return the pipeline keys that differ from their defaults."""
    keys = PipelineKeys.from_variant(dict(recipe.variant))
    return {
        one.name: value for one in fields(keys) if (value := getattr(keys, one.name)) != one.default
    }


def _source(path: Path, about: ImageText) -> str:
    """Return the source image of an image. Raises :class:`InputError` if it is not here."""
    digests: Sequence[str] = about.rows.sources or ()
    digest = digests[about.row] if about.row < len(digests) else ""
    name = (about.sources or {}).get(digest, "")
    where = f"{path}: its turbo-lab recipe: sources"
    places = near(path, file_name(name, where)) if name else ()
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise InputError(
            f"{path}: began from a source image ({name or digest[:12]}) that is not next to it; "
            "add image=FILE"
        )
    return str(found)


class _Weights:
    """The weights of an image that turbo-lab drew, by name or by the path in the store."""

    def __init__(self, path: Path, recipe: Recipe, about: ImageText, store: Path) -> None:
        self._path, self._recipe, self._names = path, recipe, about.models
        opened = Store.existing(store) if StoreLayout(store).exists else None
        self._origins = own_origins(opened, recipe, about.models)

    def model(self) -> dict[str, object]:
        """Return the keys of the model and its scheduler. Raises :class:`InputError`."""
        digest = self._recipe.model
        name = self._names.get(digest, "")
        origin = self._origins.get(digest)
        if origin is not None and origin.path is not None:
            scheduler = parse_json(self._recipe.scheduler)
            own = {"path": origin.path, "base": origin.base, "variant": origin.variant}
            keys = {f"model.{key}": value for key, value in own.items() if value is not None}
            return {"model": "local", **keys, **_scheduler_keys(scheduler, {})}
        if name not in model_names() or name == "local":
            raise InputError(
                f"{self._path}: its model {name or digest[:12]} has no card and no path in the "
                "store; add model.path=FILE, or store=DIR"
            )
        card = model_card(name)
        base = parse_json(canonical_scheduler(locate(card).scheduler, card.scheduler, None))
        return {"model": name, **_scheduler_keys(parse_json(self._recipe.scheduler), base)}

    def loras(self, model: str) -> str:
        """Return the value of ``lora``; the adapter of the model's card is left out."""
        own = model_card(model).adapter if model in model_names() else None
        known = adapter_names()
        uses = [
            LoraUse(self._name(key, known, "LoRA", "lora=FILE@WEIGHT"), weight)
            for key, weight in self._recipe.lora
        ]
        return format_lora([use for use in uses if use.name != own])

    def vae(self) -> dict[str, object]:
        """Return the key of the VAE that replaces the model's own, if one does."""
        digest = dict(self._recipe.variant).get("vae")
        if digest is None:
            return {}
        known = (*vae_names(), *packaged_names())
        return {"vae": self._name(digest, known, "VAE", "vae=FOLDER")}

    def _name(self, digest: str, known: Collection[str], part: str, remedy: str) -> str:
        """Return the name or the path of weights. Raises :class:`InputError`."""
        origin, name = self._origins.get(digest), self._names.get(digest, "")
        path = name if origin is None or origin.path is None else origin.path
        if name not in known and not (path and Path(path).exists()):
            raise InputError(
                f"{self._path}: its {part} {name or digest[:12]} is not here; add {remedy}"
            )
        return name if name in known else path


def _scheduler_keys(wanted: Mapping[str, object], base: Mapping[str, object]) -> dict[str, object]:
    """Return the keys that turn the scheduler of a model into the one of a recipe."""
    entries = {
        key: value
        for key, value in wanted.items()
        if key != "_class_name" and (key not in base or base[key] != value)
    }
    found: dict[str, object] = {"model.scheduler": entries} if entries else {}
    if wanted.get("_class_name") != base.get("_class_name"):
        found["scheduler"] = wanted.get("_class_name")
    return found
