"""The files of a card: where they are, their digest, and what the pipeline can do.

Owns a model's digest, which covers the weights, configs and tokenizer files that determine an
image. The scheduler is left out, because every recipe names it in full: LCM on SDXL's weights
has SDXL's digest. Also owns which parts of a model come from another model, its base.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from turbo_lab.cards.card import ModelCard, local_card, model_card, model_names
from turbo_lab.cards.checkpoint import PARTS, FileContents, identify, parts_missing
from turbo_lab.cards.folder import (
    INDEX_FILE,
    PICKLES,
    SCHEDULER_FILE,
    UNUSED,
    component_files,
    components_of,
    has_unlisted_files,
    read_json,
    read_scheduler,
    tokenizer_files,
    weight_files,
    with_unet,
)
from turbo_lab.cards.hub import (
    cached_file,
    cached_snapshot,
    download_command,
    missing_from_cache,
    single_file_config,
)
from turbo_lab.cards.packaged import assemble, link_together, packaged_files
from turbo_lab.cards.shape import SHAPE_FILE
from turbo_lab.errors import InputError, MissingFilesError
from turbo_lab.identity import DigestCache, digest
from turbo_lab.untrusted.headers import read_header
from turbo_lab.untrusted.paths import user_path

UNET_CONFIG = "unet/config.json"
UNET_WEIGHTS = "diffusion_pytorch_model.safetensors"
SINGLE_FILE_SCHEDULER: Mapping[str, object] = {
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
"""Scheduler of SDXL base 1.0, whose config diffusers takes for every lone SDXL file."""


@dataclass(frozen=True)
class ModelSource:
    """Files that a pipeline is loaded from."""

    path: Path
    """A diffusers folder that ``from_pretrained`` loads, or one safetensors file."""
    config: Path | None = None
    """Diffusers folder with configs and tokenizers for a single file."""
    parts: tuple[str, ...] = ()
    """Parts that a single file lacks and ``config`` has."""


@dataclass(frozen=True)
class ModelFiles:
    """The files of a card on this machine, and facts about them."""

    name: str
    """Name of the card."""
    source: ModelSource
    """Files that the pipeline is loaded from."""
    files: Mapping[str, str]
    """sha256 of every file that determines an image, by path relative to the folder."""
    digest: str
    """Digest of ``files`` and the pipeline's switches: ``model`` in a recipe."""
    components: Mapping[str, str]
    """Digest of the files of each component, by name (``unet``, ``vae``, ...)."""
    scheduler: Mapping[str, object]
    """Scheduler config of the checkpoint, with ``_class_name``."""
    has_time_cond: bool
    """``True`` if the UNet takes guidance as an embedding (a full LCM)."""
    force_zeros: bool
    """``True`` if an absent negative prompt means zero embeddings."""
    resolution: int | None
    """Native edge of an image, in pixels; ``None`` for a single file."""
    revision: str | None
    """Commit in the cache; ``None`` for packaged and local files."""
    license: str
    """Licence on the card."""
    license_source: str
    """Place where the licence is stated."""
    size_bytes: int
    """Size of ``files``, in bytes."""
    missing: tuple[str, ...] = ()
    """Parts that a single file lacks and that no base gives."""

    @property
    def has_random_weights(self) -> bool:
        """``True`` if the weights are drawn from a seed when the model is loaded."""
        return SHAPE_FILE in self.files

    @property
    def checkpoint_sha256(self) -> str | None:
        """sha256 of the one file that holds the model; ``None`` for a folder."""
        return None if self.source.config is None else self.files[self.path.name]

    @property
    def path(self) -> Path:
        """Folder or file that the pipeline is loaded from."""
        return self.source.path


def locate(card: ModelCard, cache: DigestCache | None = None) -> ModelFiles:
    """Find and digest a card's files.

    Raises :class:`MissingFilesError` that says how to get absent files, and
    :class:`InputError` for everything but an SDXL checkpoint in safetensors.
    """
    cache = cache or DigestCache()
    if card.path is not None:
        path = _checked_path(card, user_path(card.path).resolve())
        if path.is_file():
            return _from_file(card, path, None, cache)
        return _from_folder(card, path, None, cache)
    if card.source == "hub":
        folder, revision = cached_snapshot(card)
        if card.file is None:
            return _from_folder(card, folder, revision, cache)
        if not (folder / card.file).is_file():
            raise missing_from_cache(card, card.file)
        return _from_file(card, cached_file(folder, card.file), revision, cache)
    folder = link_together(card.name, packaged_files(card.name), cache)
    return _from_folder(card, folder, None, cache)


def _from_folder(
    card: ModelCard, folder: Path, revision: str | None, cache: DigestCache
) -> ModelFiles:
    """Return the files of a diffusers folder, or of a UNet's folder on a base."""
    is_unet = not (folder / INDEX_FILE).is_file()
    if is_unet and not _is_unet_folder(folder):
        raise missing_from_cache(card, INDEX_FILE)
    try:
        if is_unet:
            own = weight_files(folder, card.variant)
            sources = with_unet(_base_files(card, f"model: {folder}", PARTS[1:]), own)
        else:
            base = None if card.base is None else partial(_base_files, card)
            own = sources = component_files(folder, card.variant, base)
    except MissingFilesError as error:
        if revision is None:
            raise
        raise MissingFilesError(f"{error}; run: {download_command(card)}") from error
    if revision is not None:
        for path in own.values():
            if path.is_relative_to(folder):
                cached_file(folder, path.relative_to(folder).as_posix())
    return _assembled(card, folder, sources, revision=revision, cache=cache)


def _assembled(
    card: ModelCard,
    folder: Path,
    sources: Mapping[str, Path],
    revision: str | None,
    cache: DigestCache,
) -> ModelFiles:
    """Describe the model with files ``sources``, in ``folder`` itself or linked together."""
    is_plain = all(path == folder / relative for relative, path in sources.items())
    if not is_plain or has_unlisted_files(folder, sources):
        # A variant's files under plain names: the same bytes load the same way everywhere.
        folder = link_together(card.name, sources, cache)
    index = read_json(folder / INDEX_FILE)
    files = {
        relative: cache.file(folder / relative)
        for relative in sorted(sources)
        if relative != INDEX_FILE and not relative.startswith("scheduler/")
    }
    pipeline = _pipeline_switches(index)
    unet = read_json(folder / UNET_CONFIG)
    return ModelFiles(
        name=card.name,
        source=ModelSource(folder),
        files=files,
        digest=digest({"files": files, "pipeline": pipeline}),
        components=_component_digests(files),
        scheduler=read_scheduler(folder / SCHEDULER_FILE),
        has_time_cond=unet.get("time_cond_proj_dim") is not None,
        force_zeros=bool(index.get("force_zeros_for_empty_prompt", True)),
        resolution=_native_resolution(folder, unet),
        revision=revision,
        license=card.license,
        license_source=card.license_source,
        size_bytes=sum((folder / relative).stat().st_size for relative in files),
    )


def _from_file(card: ModelCard, path: Path, revision: str | None, cache: DigestCache) -> ModelFiles:
    """Return the files of a lone checkpoint, whole or in part, or of a UNet in one file."""
    where = f"model: {path}"
    contents = identify(read_header(path, "model").shapes, where)
    if contents.layout == "diffusers":
        sources = with_unet(_base_files(card, where, contents.missing), {UNET_WEIGHTS: path})
        cond = read_json(sources[UNET_CONFIG]).get("time_cond_proj_dim")
        if contents.has_time_cond != (cond is not None):
            raise InputError(
                f"{where}: is the UNet of a full LCM, which takes guidance as an embedding; pass "
                "the folder that has its config.json"
            )
        return _assembled(card, path.parent, sources, revision=revision, cache=cache)
    _check_prediction(card, contents, where)
    return _lone_file(card, path, contents, revision=revision, cache=cache)


def _lone_file(
    card: ModelCard,
    path: Path,
    contents: FileContents,
    revision: str | None,
    cache: DigestCache,
) -> ModelFiles:
    """Describe one file in the names of SDXL's original code, which diffusers converts."""
    base = locate(_base_card(card.base), cache) if contents.missing and card.base else None
    config = single_file_config() if base is None else base.path
    configs = {
        relative: cache.file(cached_file(config, relative) if base is None else file)
        for component in components_of(read_json(config / INDEX_FILE), config / INDEX_FILE)
        for file in tokenizer_files(config / component)
        if not (relative := file.relative_to(config).as_posix()).endswith(".index.json")
    }
    value = cache.file(path)
    identity: dict[str, object] = {"file": value, "configs": configs}  # not the file's name
    if base is not None:
        identity["parts"] = {part: base.components[part] for part in contents.missing}
    return ModelFiles(
        name=card.name,
        source=ModelSource(path, config, contents.missing if base else ()),
        files={path.name: value, **configs},
        digest=digest(identity),
        components={},
        scheduler=SINGLE_FILE_SCHEDULER if base is None else base.scheduler,
        has_time_cond=contents.has_time_cond,
        force_zeros=True if base is None else base.force_zeros,
        resolution=None if base is None else base.resolution,
        revision=revision,
        license=card.license,
        license_source=card.license_source,
        size_bytes=path.stat().st_size,
        missing=() if base else contents.missing,
    )


def check_is_whole(files: ModelFiles, *, has_vae: bool) -> None:
    """Raise :class:`InputError` for a model that lacks parts.

    ``has_vae``: another VAE takes the place of the model's own.
    """
    missing = [part for part in files.missing if not (part == "vae" and has_vae)]
    if missing:
        raise parts_missing(f"model: {files.path}", missing)


def _check_prediction(card: ModelCard, contents: FileContents, where: str) -> None:
    if contents.is_v_prediction and "prediction_type" not in (card.scheduler or {}):
        raise InputError(
            f"{where}: is marked as trained to predict v; say how it is sampled, such as "
            'model.scheduler="{prediction_type:v_prediction,rescale_betas_zero_snr:true,'
            'timestep_spacing:trailing}"'
        )


def _base_files(
    card: ModelCard, where: str = "model", missing: Sequence[str] = ()
) -> dict[str, Path]:
    """Return path in a plain folder to file, of the model that a card's base names.

    Raises :class:`InputError` for a card without a base: ``where`` has no ``missing``.
    """
    if card.base is None:
        raise parts_missing(where, missing)
    base = _base_card(card.base)
    if base.path is None and base.source == "packaged":
        return component_files(assemble(base.name), base.variant)
    if base.path is not None:
        return component_files(Path(base.path), base.variant)
    folder, _ = cached_snapshot(base)
    files = component_files(folder, base.variant)
    return {
        name: cached_file(folder, str(path.relative_to(folder))) for name, path in files.items()
    }


def _base_card(name: str) -> ModelCard:
    """Return the card that ``model.base`` names, or one for the diffusers folder at that path."""
    if name in model_names():
        return model_card(name)
    folder = user_path(name).resolve()
    if not (folder / INDEX_FILE).is_file():
        names = ", ".join(sorted(set(model_names()) - {"local"}))
        raise MissingFilesError(
            f"model.base={name}: is neither a model ({names}) nor a diffusers folder with "
            f"{INDEX_FILE}"
        )
    return local_card(folder)


def is_model(path: Path) -> bool:
    """Return whether a path may be a model: a safetensors file, a diffusers folder or a UNet's."""
    if path.is_file():
        return path.suffix == ".safetensors"
    return (path / INDEX_FILE).is_file() or _is_unet_folder(path)


def _is_unet_folder(folder: Path) -> bool:
    config = folder / "config.json"
    return config.is_file() and read_json(config).get("_class_name") == "UNet2DConditionModel"


def _checked_path(card: ModelCard, path: Path) -> Path:
    if not path.exists():
        raise MissingFilesError(f"model.path={path}: does not exist")
    if path.is_file():
        if path.suffix != ".safetensors":
            raise InputError(
                f"model.path={path}: must be a .safetensors file or a diffusers folder; "
                "pickled weights are not loaded"
            )
        return path
    if not path.is_dir():
        raise InputError(f"model.path={path}: is neither a folder nor a regular file; name one")
    if (path / INDEX_FILE).is_file() or _is_unet_folder(path):
        return path
    if any(p.suffix in PICKLES for p in path.iterdir()):
        raise InputError(f"model.path={path}: holds pickled weights; only safetensors are loaded")
    raise InputError(
        f"model.path={path}: has no {INDEX_FILE}; name a diffusers folder, or a .safetensors file"
    )


def _pipeline_switches(index: Mapping[str, object]) -> dict[str, object]:
    """Return the entries of ``model_index.json`` without versions, paths and unused components."""
    return {
        key: value
        for key, value in index.items()
        if key not in UNUSED and (not key.startswith("_") or key == "_class_name")
    }


def _component_digests(files: Mapping[str, str]) -> dict[str, str]:
    parts: dict[str, dict[str, str]] = {}
    for relative, value in files.items():
        component, _, name = relative.partition("/")
        if name:  # else a file of the whole folder
            parts.setdefault(component, {})[name] = value
    return {component: digest(names) for component, names in parts.items()}


def _native_resolution(folder: Path, unet: Mapping[str, object]) -> int | None:
    size = unet.get("sample_size")
    widths = read_json(folder / "vae" / "config.json").get("block_out_channels")
    if not isinstance(size, int) or not isinstance(widths, list):
        return None
    # A VAE has four levels. With more than ten, no size would be left.
    return int(size * 2 ** (len(widths) - 1)) if 0 < len(widths) <= 10 else None
