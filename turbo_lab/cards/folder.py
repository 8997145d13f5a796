"""The files of a diffusers folder that determine an image: weights, configs, tokenizers.

Owns which of several variants is taken, and shards. Refuses pickled weights, Git LFS
pointers and files that are cut off, from their headers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from turbo_lab.cards.checkpoint import check_folder, missing_components, parts_missing
from turbo_lab.cards.shape import SHAPE_FILE
from turbo_lab.errors import InputError, MissingFilesError
from turbo_lab.untrusted.headers import read_header, refuse_lfs_pointer
from turbo_lab.untrusted.json_text import parse_json
from turbo_lab.untrusted.model_sizes import check_sizes
from turbo_lab.untrusted.paths import MAX_CONFIG_BYTES, file_name, read_regular

INDEX_FILE = "model_index.json"
SCHEDULER_FILE = "scheduler/scheduler_config.json"
PLAIN = "plain"
"""``variant``: the files without a variant in their names, even if there are others."""
PICKLES = (".bin", ".ckpt", ".pt", ".pth")
# Components that do not take part in text to image.
UNUSED = ("scheduler", "safety_checker", "feature_extractor", "image_encoder")
_TOKENIZER_FILES = (".json", ".txt", ".model")
_CONFIGS = ("config.json", "tokenizer_config.json", "scheduler_config.json")


def component_files(
    folder: Path, variant: str | None, base: Callable[[], Mapping[str, Path]] | None = None
) -> dict[str, Path]:
    """Return every file that determines an image, by its path in a folder with plain names.

    ``variant``: ``fp16`` takes ``model.fp16.safetensors`` as ``model.safetensors``, and plain
    names for components without that variant, as diffusers does; ``plain`` takes plain names;
    ``None`` takes plain names, else the one variant that is there.
    ``base``: returns the files of a model that gives the components which the folder lacks.
    """
    index = read_json(folder / INDEX_FILE)
    unet = folder / "unet" / "config.json"
    check_folder(index, read_json(unet) if unet.is_file() else None, f"model: {folder}")
    missing = missing_components(index)
    if missing and base is None:
        raise parts_missing(f"model: {folder}", missing)
    found = {} if missing else {INDEX_FILE: folder / INDEX_FILE}
    is_shape = (folder / SHAPE_FILE).is_file()
    if is_shape:
        found[SHAPE_FILE] = folder / SHAPE_FILE
    components = components_of(index, folder / INDEX_FILE)
    if variant not in (None, PLAIN):
        _check_variant(folder, components, str(variant))
    for component in components:
        part = folder / component
        if component.startswith("tokenizer"):
            names = {path.name: path for path in tokenizer_files(part)}
            if not names:
                raise MissingFilesError(f"model: {part} has no tokenizer files")
        else:
            names = _config_file(part) if is_shape else weight_files(part, variant)
        found |= {f"{component}/{name}": path for name, path in names.items()}
    if "scheduler" not in missing:
        found[SCHEDULER_FILE] = _scheduler_file(folder)
    check_files(found)
    if base is None or not missing:
        return found
    given = {n: path for n, path in base().items() if n.split("/")[0] in (*missing, INDEX_FILE)}
    return found | given


def with_unet(base: Mapping[str, Path], unet: Mapping[str, Path]) -> dict[str, Path]:
    """Return the files of ``base`` with another UNet, whose names are without ``unet/``.

    A UNet without a config takes that of ``base``.
    """
    check_files(unet)
    kept = {name: path for name, path in base.items() if not name.startswith("unet/")}
    if "config.json" not in unet:
        kept["unet/config.json"] = base["unet/config.json"]
    return kept | {f"unet/{name}": path for name, path in unet.items()}


def check_files(files: Mapping[str, Path]) -> None:
    """Raise :class:`InputError` for weights that are cut off, and for Git LFS pointers.

    Also refuses configs with sizes that no model of the family has.
    """
    for path in files.values():
        if path.suffix == ".safetensors":
            read_header(path, "model")
        elif path.name in _CONFIGS:
            check_sizes(read_json(path), f"model: {path}")
        else:
            refuse_lfs_pointer(path, "model")


def components_of(index: Mapping[str, object], path: Path) -> list[str]:
    """Return the components of a ``model_index.json`` that take part in an image."""
    return [
        file_name(name, f"model: {path}")
        for name, about in index.items()
        if isinstance(about, list) and about and about[0] is not None and name not in UNUSED
    ]


def tokenizer_files(part: Path) -> list[Path]:
    """Return the files of a tokenizer's folder, in the order of their names."""
    found = (path for path in sorted(part.glob("*")) if path.suffix in _TOKENIZER_FILES)
    return [path for path in found if path.is_file()]


def weight_files(part: Path, variant: str | None) -> dict[str, Path]:
    """Return the files of a component by plain name: config, and weights, whole or in shards.

    If the component lacks the ``variant``, plain names are taken; see :func:`component_files`.
    """
    config, stem = _config_file(part), _stem(part)
    choices = [None] if variant in (None, PLAIN) else [variant, None]
    found = next((files for mark in choices if (files := _of_variant(part, stem, mark))), None)
    if found is None and variant is None:
        found = _of_variant(part, stem, _only_variant(part, stem))
    if found:
        return config | found
    pickles = [p.name for p in sorted(part.glob("*")) if p.suffix in PICKLES]
    if pickles:
        raise InputError(
            f"model: {part} holds only pickled weights ({pickles[0]}); turbo-lab loads safetensors "
            "only: convert them with save_pretrained(..., safe_serialization=True)"
        )
    others = _variants(part, stem)
    hint = f"; there is {', '.join(others)}: set model.variant={others[0]}" if others else ""
    raise MissingFilesError(f"model: {part / f'{stem}.safetensors'} does not exist{hint}")


def has_unlisted_files(folder: Path, sources: Mapping[str, Path]) -> bool:
    """Return whether a folder has files that a loader may read and that ``sources`` leaves out.

    A shard index next to whole weights names shards, and ``adapter_config.json`` a LoRA, that
    would be loaded although they are neither checked nor hashed. Code would be looked at.
    """
    listed = {path.name for path in sources.values()} | {Path(name).name for name in sources}
    places = {path.parent for path in sources.values()} | {folder}
    return any(
        _may_be_read(path.name) and path.name not in listed
        for place in places
        for path in place.iterdir()
    ) or any(
        path.with_name(f"{path.name}.index.json").is_file()
        and f"{relative}.index.json" not in sources
        for relative, path in sources.items()
        if relative.endswith(".safetensors")
    )


def _may_be_read(name: str) -> bool:
    """Return whether a loader may read a file: code and configs, not indexes of variants."""
    return name.endswith(".py") or (name.endswith(".json") and ".index." not in name)


def read_config(path: Path) -> bytes:
    """Return the content of a model's config. Raises :class:`InputError` and ``OSError``."""
    return read_regular(path, follow_links=True, limit_bytes=MAX_CONFIG_BYTES)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object of a checkpoint; raises :class:`InputError` for anything else."""
    try:
        refuse_lfs_pointer(path, "model")
        values = parse_json(read_config(path))
    except ValueError as error:
        raise InputError(f"model: {path} is not JSON ({error})") from error
    except OSError as error:
        raise MissingFilesError(f"model: {path} cannot be read ({error.strerror})") from error
    if not isinstance(values, dict):
        raise InputError(f"model: {path} holds no JSON object")
    return values


def read_scheduler(path: Path) -> Mapping[str, object]:
    """Read a scheduler's config; raises :class:`InputError` if it names no class."""
    values = read_json(path)
    if not isinstance(values.get("_class_name"), str):
        raise InputError(
            f"model: {path} has no _class_name, so that no scheduler can be made from it; get the "
            "file again, or add the class of diffusers that it belongs to"
        )
    return values


def _config_file(part: Path) -> dict[str, Path]:
    """Return the config file of a component by its plain name."""
    if not (part / "config.json").is_file():
        raise MissingFilesError(f"model: {part / 'config.json'} does not exist; get the file again")
    return {"config.json": part / "config.json"}


def _scheduler_file(folder: Path) -> Path:
    path = folder / SCHEDULER_FILE
    if not path.is_file():
        raise MissingFilesError(f"model: {path} does not exist; get the file again")
    read_scheduler(path)
    return path


def _of_variant(part: Path, stem: str, variant: str | None) -> dict[str, Path] | None:
    """Return the weight files of one variant under plain names; ``None`` if there are none."""
    mark = f".{variant}" if variant else ""
    whole = part / f"{stem}{mark}.safetensors"
    if whole.is_file():
        return {f"{stem}.safetensors": whole}
    index = part / f"{stem}.safetensors.index{mark}.json"
    if not index.is_file():
        return None
    shards = _shards(index)
    if gone := [name for name in shards if not (part / name).is_file()]:
        raise MissingFilesError(f"model: {part / gone[0]} does not exist (named by {index})")
    files = {name: part / name for name in shards}
    return files | {f"{stem}.safetensors.index.json": index}


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


def _variants(part: Path, stem: str) -> list[str]:
    """Return the variants whose weights are there, such as ``fp16``."""
    files = part.glob(f"{stem}.*.safetensors")
    indexes = part.glob(f"{stem}.safetensors.index.*.json")
    names = {path.name.split(".")[1].partition("-")[0] for path in files}
    return sorted(names | {path.name.split(".")[3] for path in indexes})


def _only_variant(part: Path, stem: str) -> str | None:
    """Return the one variant that is there, ``None`` for none; refuses to choose."""
    names = _variants(part, stem)
    if len(names) > 1:
        raise InputError(
            f"model: {part} holds {', '.join(names)}; choose one: model.variant={names[0]}"
        )
    return names[0] if names else None


def _check_variant(folder: Path, components: list[str], variant: str) -> None:
    """Raise :class:`MissingFilesError` for a variant that no component has."""
    parts = [folder / name for name in components if not name.startswith("tokenizer")]
    found = {name for part in parts for name in _variants(part, _stem(part))}
    if variant not in found:
        others = ", ".join([PLAIN, *sorted(found)])
        raise MissingFilesError(
            f"model.variant={variant}: {folder} has no files of it "
            f"(such as {_stem(parts[0])}.{variant}.safetensors); choose one of {others}"
        )


def _stem(part: Path) -> str:
    return "model" if part.name.startswith("text_encoder") else "diffusion_pytorch_model"
