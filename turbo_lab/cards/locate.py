"""The files behind a card: where they are, what they are by content, what they can do.

Owns a model's digest: over the weights, configs and tokenizer files that
determine an image. The scheduler is left out, because every recipe names it in
full; so LCM on SDXL's weights is the same weights. Refuses pickled weights.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turbo_lab.cards.card import ModelCard
from turbo_lab.cards.hub import (
    cached_file,
    cached_snapshot,
    download_command,
    missing_from_cache,
    single_file_config,
)
from turbo_lab.cards.packaged import link_together, packaged_files
from turbo_lab.cards.shape import SHAPE_FILE
from turbo_lab.errors import InputError, MissingFilesError
from turbo_lab.identity import DigestCache, digest
from turbo_lab.untrusted.paths import file_name

INDEX_FILE = "model_index.json"
# Components that do not take part in text to image.
_UNUSED = ("scheduler", "safety_checker", "feature_extractor", "image_encoder")
_PICKLES = (".bin", ".ckpt", ".pt", ".pth")
_TOKENIZER_FILES = (".json", ".txt", ".model")
# diffusers takes the config of a lone SDXL file from SDXL base 1.0, whatever the file is.
_SINGLE_FILE_SCHEDULER = {
    "_class_name": "EulerDiscreteScheduler",
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "interpolation_type": "linear",
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "steps_offset": 1,
    "timestep_spacing": "leading",
    "use_karras_sigmas": False,
}


@dataclass(frozen=True)
class ModelFiles:
    """The files behind a card on this machine."""

    name: str
    """Name of the card."""
    path: Path
    """A diffusers folder that ``from_pretrained`` loads, or one safetensors file."""
    files: Mapping[str, str]
    """Every file that determines an image: path relative to the folder, to sha256."""
    digest: str
    """Digest of ``files`` and the pipeline's own switches; ``model`` in a recipe."""
    components: Mapping[str, str]
    """Component (``unet``, ``vae``, ...) to the digest of its files."""
    scheduler: Mapping[str, Any]
    """The checkpoint's own scheduler config, with ``_class_name``."""
    has_time_cond: bool
    """The UNet takes guidance as an embedding (a full LCM)."""
    force_zeros: bool
    """No negative prompt means zero embeddings."""
    resolution: int | None
    """Native edge in pixels; ``None`` for a single file."""
    revision: str | None
    """Commit in the cache; ``None`` for packaged and local files."""
    license: str
    """The licence on the card."""
    license_source: str
    """Where the licence was read."""
    size_bytes: int
    """Size of ``files``, in bytes."""

    @property
    def has_random_weights(self) -> bool:
        """Whether the weights are drawn from a seed when the model is loaded."""
        return SHAPE_FILE in self.files


def locate(card: ModelCard, cache: DigestCache | None = None) -> ModelFiles:
    """Find and digest a card's files.

    Raises :class:`MissingFilesError` with how to get what is absent, and
    :class:`InputError` for anything but an SDXL checkpoint in safetensors.
    """
    cache = cache or DigestCache()
    if card.path is not None:
        path = Path(card.path).expanduser().resolve()
        if path.is_file():
            return _single_file(card, path, cache)
        return _from_folder(card, _checked_folder(card, path), None, cache)
    if card.source == "hub":
        folder, revision = cached_snapshot(card)
        return _from_folder(card, folder, revision, cache)
    folder = link_together(card.name, packaged_files(card.name), cache)
    return _from_folder(card, folder, None, cache)


def component_files(folder: Path, variant: str | None) -> dict[str, Path]:
    """Return path in a plain folder to file, for everything that determines an image.

    ``variant``: ``fp16`` takes ``model.fp16.safetensors`` as ``model.safetensors``;
    ``None`` takes plain names, else the one variant that is there.
    """
    found = {INDEX_FILE: folder / INDEX_FILE}
    is_shape = (folder / SHAPE_FILE).is_file()
    if is_shape:
        found[SHAPE_FILE] = folder / SHAPE_FILE
    for component in _components(folder / INDEX_FILE):
        part = folder / component
        if component.startswith("tokenizer"):
            names = {path.name: path for path in _tokenizer_files(part)}
            if not names:
                raise MissingFilesError(f"model: {part} has no tokenizer files")
        else:
            names = _config_file(part) if is_shape else _weight_files(part, variant)
        found |= {f"{component}/{name}": path for name, path in names.items()}
    scheduler = folder / "scheduler" / "scheduler_config.json"
    if not scheduler.is_file():
        raise MissingFilesError(f"model: {scheduler} is missing")
    found["scheduler/scheduler_config.json"] = scheduler
    return found


def _components(index: Path) -> list[str]:
    """Return the components of a ``model_index.json`` that take part in an image."""
    return [
        file_name(name, f"model: {index}")
        for name, about in read_json(index).items()
        if isinstance(about, list) and about and about[0] is not None and name not in _UNUSED
    ]


def _tokenizer_files(part: Path) -> list[Path]:
    """Return the files of a tokenizer's folder, in the order of their names."""
    found = (path for path in sorted(part.glob("*")) if path.suffix in _TOKENIZER_FILES)
    return [path for path in found if path.is_file()]


def _shards(index: Path) -> list[str]:
    """Return the file names in a shard index, each once, in order."""
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict):
        raise InputError(
            f"model: {index}: weight_map must be an object of tensor names and file names; "
            "get the file again"
        )
    names = {file_name(name, f"model: {index}: weight_map") for name in weight_map.values()}
    for name in names:
        if not name.endswith(".safetensors"):
            raise InputError(f"model: {index}: weight_map: {name}: only safetensors are loaded")
    return sorted(names)


def _config_file(part: Path) -> dict[str, Path]:
    """Plain name to file, of the configuration alone."""
    if not (part / "config.json").is_file():
        raise MissingFilesError(f"model: {part / 'config.json'} is missing")
    return {"config.json": part / "config.json"}


def _weight_files(part: Path, variant: str | None) -> dict[str, Path]:
    """Plain name to file: config, and weights in one file or in shards with their index."""
    config = _config_file(part)
    stem = "model" if part.name.startswith("text_encoder") else "diffusion_pytorch_model"
    variants = [variant] if variant else [None, *_variants(part, stem)]
    for choice in variants:
        mark = f".{choice}" if choice else ""
        whole = part / f"{stem}{mark}.safetensors"
        index = part / f"{stem}.safetensors.index{mark}.json"
        names = dict(config)
        if whole.is_file():
            return names | {f"{stem}.safetensors": whole}
        if index.is_file():
            shards = _shards(index)
            if gone := [name for name in shards if not (part / name).is_file()]:
                raise MissingFilesError(f"model: {part / gone[0]} is missing (named by {index})")
            names |= {name: part / name for name in shards}
            return names | {f"{stem}.safetensors.index.json": index}
    pickles = [p.name for p in sorted(part.glob("*")) if p.suffix in _PICKLES]
    if pickles:
        raise InputError(
            f"model: {part} holds only pickled weights ({pickles[0]}); turbo-lab loads safetensors "
            "only: convert them with save_pretrained(..., safe_serialization=True)"
        )
    wanted = f"{stem}{'.' + variant if variant else ''}.safetensors"
    raise MissingFilesError(f"model: {part / wanted} is missing")


def _has_unlisted_index(sources: Mapping[str, Path]) -> bool:
    """Return whether a shard index that ``sources`` leaves out lies next to whole weights.

    diffusers would load the shards that it names, which are neither checked nor hashed.
    """
    return any(
        path.with_name(f"{path.name}.index.json").is_file()
        and f"{relative}.index.json" not in sources
        for relative, path in sources.items()
        if relative.endswith(".safetensors")
    )


def _variants(part: Path, stem: str) -> list[str]:
    """Return the variants whose weights are there, such as ``fp16``; refuses to choose."""
    names = {p.name for p in part.glob(f"{stem}.*.safetensors")}
    names = {name.split(".")[1].partition("-")[0] for name in names}
    if len(names) > 1:
        raise InputError(
            f"model: {part} holds {', '.join(sorted(names))}; say which: model.variant="
        )
    return sorted(names)


def _from_folder(
    card: ModelCard, folder: Path, revision: str | None, cache: DigestCache
) -> ModelFiles:
    if not (folder / INDEX_FILE).is_file():
        raise missing_from_cache(card, INDEX_FILE)
    try:
        sources = component_files(folder, card.variant)
    except MissingFilesError as error:
        if revision is None:
            raise
        raise MissingFilesError(f"{error}; run: {download_command(card)}") from error
    if revision is not None:
        for path in sources.values():
            cached_file(folder, path.relative_to(folder).as_posix())
    is_plain = all(path == folder / relative for relative, path in sources.items())
    if not is_plain or _has_unlisted_index(sources):
        # A variant's files under plain names: the same bytes load the same way everywhere.
        folder = link_together(card.name, sources, cache)
    index = read_json(folder / INDEX_FILE)
    files = {
        relative: cache.file(folder / relative)
        for relative in sorted(sources)
        if relative != INDEX_FILE and not relative.startswith("scheduler/")
    }
    pipeline = _pipeline_switches(index)
    unet = read_json(folder / "unet" / "config.json")
    return ModelFiles(
        name=card.name,
        path=folder,
        files=files,
        digest=digest({"files": files, "pipeline": pipeline}),
        components=_component_digests(files),
        scheduler=_scheduler(folder),
        has_time_cond=unet.get("time_cond_proj_dim") is not None,
        force_zeros=bool(index.get("force_zeros_for_empty_prompt", True)),
        resolution=_native_resolution(folder, unet),
        revision=revision,
        license=card.license,
        license_source=card.license_source,
        size_bytes=sum((folder / relative).stat().st_size for relative in files),
    )


def _single_file(card: ModelCard, path: Path, cache: DigestCache) -> ModelFiles:
    if path.suffix != ".safetensors":
        raise InputError(
            f"model.path={path}: must be a .safetensors file or a diffusers folder; "
            "pickled weights are not loaded"
        )
    value, config = cache.file(path), single_file_config()
    configs = {
        relative: cache.file(cached_file(config, relative))
        for component in _components(config / INDEX_FILE)
        for file in _tokenizer_files(config / component)
        if not (relative := file.relative_to(config).as_posix()).endswith(".index.json")
    }
    return ModelFiles(
        name=card.name,
        path=path,
        files={path.name: value, **configs},
        digest=digest({"file": value, "configs": configs}),  # not the file's name
        components={},
        scheduler=_SINGLE_FILE_SCHEDULER,
        has_time_cond=False,
        force_zeros=True,
        resolution=None,
        revision=None,
        license=card.license,
        license_source=card.license_source,
        size_bytes=path.stat().st_size,
    )


def _checked_folder(card: ModelCard, path: Path) -> Path:
    if not path.exists():
        raise MissingFilesError(f"model.path={path}: there is no such folder or file")
    if (path / INDEX_FILE).is_file():
        return path
    if not path.is_dir():
        raise InputError(f"model.path={path}: is neither a folder nor a regular file; name one")
    if any(p.suffix in _PICKLES for p in path.iterdir()):
        raise InputError(f"model.path={path}: holds pickled weights; only safetensors are loaded")
    raise InputError(
        f"model.path={path}: has no {INDEX_FILE}; name a diffusers folder, or a .safetensors file"
    )


def _pipeline_switches(index: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ``model_index.json`` decides, without versions, paths and unused components."""
    return {
        key: value
        for key, value in index.items()
        if key not in _UNUSED and (not key.startswith("_") or key == "_class_name")
    }


def _component_digests(files: Mapping[str, str]) -> dict[str, str]:
    parts: dict[str, dict[str, str]] = {}
    for relative, value in files.items():
        component, _, name = relative.partition("/")
        if name:  # else a file of the whole folder
            parts.setdefault(component, {})[name] = value
    return {component: digest(names) for component, names in parts.items()}


def _scheduler(folder: Path) -> dict[str, Any]:
    return read_json(folder / "scheduler" / "scheduler_config.json")


def _native_resolution(folder: Path, unet: Mapping[str, Any]) -> int | None:
    size = unet.get("sample_size")
    levels = len(read_json(folder / "vae" / "config.json").get("block_out_channels", ()))
    return int(size) * 2 ** (levels - 1) if isinstance(size, int) and levels else None


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object of a checkpoint; raises :class:`InputError` for anything else."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"model: {path} is not JSON ({error})") from error
    except OSError as error:
        raise MissingFilesError(f"model: {path} cannot be read ({error.strerror})") from error
    if not isinstance(values, dict):
        raise InputError(f"model: {path} holds no JSON object")
    return values
