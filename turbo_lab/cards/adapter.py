"""LoRA files: where they are, and whether they fit a model, from headers alone.

Owns an adapter's identity: its file, and peft's ``adapter_config.json`` next to it, which
scales it. What cannot be loaded is refused before torch is imported.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from turbo_lab.cards.card import AdapterCard, adapter_card, adapter_names
from turbo_lab.cards.folder import read_json
from turbo_lab.cards.hub import cached_file, cached_snapshot, missing_from_cache
from turbo_lab.cards.locate import ModelFiles
from turbo_lab.cards.lora_fit import fit_layers
from turbo_lab.cards.lora_keys import LoraLayer, read_layers
from turbo_lab.cards.modules import module_shapes
from turbo_lab.cards.packaged import WEIGHTS
from turbo_lab.errors import InputError, MissingFilesError, unknown_name
from turbo_lab.identity import DigestCache, digest
from turbo_lab.untrusted.headers import Header, read_header
from turbo_lab.untrusted.json_text import parse_json
from turbo_lab.untrusted.paths import user_path

DEFAULT_FILE = "pytorch_lora_weights.safetensors"
PEFT_FILE, PEFT_CONFIG = "adapter_model.safetensors", "adapter_config.json"
# Where diffusers keeps the configurations of a file's parts: one JSON object.
_METADATA_KEY = "lora_adapter_metadata"
_LAYER_PATTERN = re.compile(r"\^?(?:[\w-]|\.\*|\\?\.)*\$?")
_MAX_WILDCARDS = 3


@dataclass(frozen=True)
class AdapterFiles:
    """One LoRA on this machine."""

    name: str
    """The name or path, as the user wrote it."""
    path: Path
    """The safetensors file."""
    digest: str
    """sha256 of the file, together with peft's configuration if that scales it."""
    layers: tuple[LoraLayer, ...]
    """Modules that it changes."""
    base: str | None
    """Card of the model it was trained on; ``None`` for the user's own file."""
    revision: str | None
    """Commit in the cache; ``None`` for packaged and local files."""
    license: str
    """``unknown`` for the user's own file."""
    license_source: str
    """Where the licence was read."""
    assumption: str | None = None
    """Assumption about what the files leave open, for people. ``None``: there is none."""
    tensors_digest: str | None = None
    """sha256 of the file's tensors, by which other programs know it. ``None``: not known."""


def locate_adapter(name: str, cache: DigestCache | None = None) -> AdapterFiles:
    """Find a LoRA by card name, or by the path of its file or folder.

    Raises :class:`InputError` for an unknown name and for a file that diffusers does
    not load, and :class:`MissingFilesError` for files that are not on this machine.
    """
    cache = cache or DigestCache()
    card = adapter_card(name) if name in adapter_names() else None
    if card is not None:
        path, revision = _card_file(card)
    else:
        path, revision = _own_file(name), None
    where = f"lora={name}"
    header = read_header(path, where)
    layers = read_layers(header.shapes, where)
    config = peft_config(path)
    configs = read_configs(path, header, where)
    value = cache.file(path)
    return AdapterFiles(
        name=name,
        path=path,
        digest=value if config is None else digest({"file": value, "config": cache.file(config)}),
        layers=layers,
        base=card.base if card else None,
        revision=revision,
        license=card.license if card else "unknown",
        license_source=card.license_source if card else "the user's own file",
        assumption=_assumption(name, path, layers, configs),
        tensors_digest=cache.tensors(path),
    )


def check_adapter_fits(adapter: AdapterFiles, model: ModelFiles) -> None:
    """Raise :class:`InputError` for a LoRA that is not for this model.

    Nothing is known of a model whose weights are drawn at random.
    """
    if model.has_random_weights:
        return
    trained = f" (it was trained on {adapter.base})" if adapter.base else ""
    fit_layers(
        adapter.layers,
        module_shapes(model),
        f"lora={adapter.name}: is for another architecture than model={model.name}",
        f"; use a LoRA trained for it{trained}",
    )


def peft_config(path: Path) -> Path | None:
    """Return the configuration that peft saved next to its own file; ``None`` for others."""
    config = path.with_name(PEFT_CONFIG)
    return config if path.name == PEFT_FILE and config.is_file() else None


def read_configs(path: Path, header: Header, where: str) -> dict[str, dict[str, object]]:
    """Return the configurations that scale a LoRA, by part; ``""`` means every part.

    Empty where the file has none: then alpha is in its tensors, or equals the rank.
    Raises :class:`InputError` for another kind of adapter.
    """
    if (config := peft_config(path)) is not None:
        values = read_json(config)
        if values.get("peft_type", "LORA") != "LORA":
            raise InputError(
                f"{where}: {PEFT_CONFIG}: is {values['peft_type']!a}, which diffusers does not "
                "load for SDXL; use a LoRA"
            )
        _check_alphas(values, where)
        return {"": values}
    if _METADATA_KEY not in header.metadata:
        return {}
    try:
        flat = parse_json(header.metadata[_METADATA_KEY])
    except ValueError:
        flat = None
    if not isinstance(flat, dict):
        raise InputError(f"{where}: its {_METADATA_KEY} is not a JSON object; get the file again")
    configs: dict[str, dict[str, object]] = {}
    for key, value in flat.items():
        part, _, name = str(key).partition(".")
        configs.setdefault(part, {})[name] = value
    for config_of_part in configs.values():
        _check_alphas(config_of_part, where)
    return configs


def _check_alphas(config: Mapping[str, object], where: str) -> None:
    """Refuse alphas that are not numbers, and names that are more than names.

    peft takes the keys of ``alpha_pattern`` as regular expressions, which may take for ever.
    """
    pattern = config.get("alpha_pattern") or {}
    if not isinstance(pattern, Mapping):
        raise InputError(f"{where}: alpha_pattern must be an object; get the file again")
    for key in pattern:
        if not _LAYER_PATTERN.fullmatch(key) or key.count("*") > _MAX_WILDCARDS:
            raise InputError(
                f"{where}: alpha_pattern: {key[:80]!a} is not the name of a layer, with at most "
                f"{_MAX_WILDCARDS} times .* in it; write the names of the layers"
            )
    for alpha in (config.get("lora_alpha", 1), *pattern.values()):
        if not isinstance(alpha, (int, float)) or not isfinite(alpha):
            raise InputError(f"{where}: {str(alpha)[:80]!a} is not a number; get the file again")


def _assumption(
    name: str, path: Path, layers: tuple[LoraLayer, ...], configs: Mapping[str, object]
) -> str | None:
    if path.name != PEFT_FILE or configs or any(layer.alpha for layer in layers):
        return None
    return (
        f"lora={name}: has no {PEFT_CONFIG} next to it, so that its alpha is taken to be its rank "
        "(a scale of 1); put the file that peft saved there"
    )


def _card_file(card: AdapterCard) -> tuple[Path, str | None]:
    if card.source == "packaged":
        path = WEIGHTS / card.name / card.file
        if not path.is_file():
            raise MissingFilesError(
                f"lora={card.name}: does not ship with this version; see turbo-lab models list"
            )
        return path, None
    folder, revision = cached_snapshot(card)
    if not (folder / card.file).is_file():
        raise missing_from_cache(card, card.file)
    return cached_file(folder, card.file), revision


def _own_file(name: str) -> Path:
    path = user_path(name)
    if path.is_dir():
        return _file_of_folder(name, path)
    if path.is_file():
        if path.suffix != ".safetensors":
            raise InputError(f"lora={name}: must be a .safetensors file; pickles are not loaded")
        # peft's configuration is next to the name, not next to what a link leads to.
        return path.parent.resolve() / path.name
    if "/" in name or path.suffix:
        hint = "; a name with + in it needs quotes" if "+" in name else ""
        raise MissingFilesError(f"lora={name}: does not exist{hint}")
    raise unknown_name("lora", name, ["none", *adapter_names()])


def _file_of_folder(name: str, folder: Path) -> Path:
    """Return the LoRA of a folder: diffusers' name, peft's, or the only file."""
    for known in (DEFAULT_FILE, PEFT_FILE):
        if (folder / known).is_file():
            return folder.resolve() / known
    files = sorted(folder.glob("*.safetensors"))
    if len(files) == 1:
        return folder.resolve() / files[0].name
    what = f"; name one of its {len(files)} files" if files else ""
    raise MissingFilesError(f"lora={name}: the folder has no {DEFAULT_FILE} or {PEFT_FILE}{what}")
