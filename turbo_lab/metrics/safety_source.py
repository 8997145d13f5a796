"""The files of a safety checker and what they are by content; no torch.

A safety checker is diffusers' ``StableDiffusionSafetyChecker``: a CLIP vision tower with the
embeddings and thresholds of concepts. Owns the layouts in which people have one. Refuses to
download, and weights that are not safetensors.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from turbo_lab.errors import InputError, MissingFilesError
from turbo_lab.metrics.extractor_source import SAFETY, ExtractorSource, Preprocessing
from turbo_lab.untrusted.json_text import parse_json
from turbo_lab.untrusted.paths import read_regular, user_path

WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
PREPROCESSOR_FILE = "preprocessor_config.json"


def safety_source(folder: str) -> ExtractorSource:
    """Find a safety checker and its feature extractor in a folder.

    The folder is the checker's own with ``preprocessor_config.json`` in it, or that of a
    pipeline with ``safety_checker/`` and ``feature_extractor/``. Raises
    :class:`MissingFilesError` for an absent file, :class:`InputError` for another model.
    """
    root = user_path(folder)
    checker, extractor = root / "safety_checker", root / "feature_extractor"
    if not checker.is_dir():
        checker = extractor = root
    files = (checker / WEIGHTS_FILE, checker / CONFIG_FILE, extractor / PREPROCESSOR_FILE)
    missing = [str(file) for file in files if not file.is_file()]
    if missing:
        raise MissingFilesError(
            f"safety_checker={folder}: {' and '.join(missing)} is missing; name a folder with "
            f"{WEIGHTS_FILE}, {CONFIG_FILE} and {PREPROCESSOR_FILE}, or a pipeline's folder with "
            "safety_checker and feature_extractor"
        )
    config, processor = (_read(file, folder) for file in files[1:])
    architectures = config.get("architectures")
    if architectures != ["StableDiffusionSafetyChecker"]:
        raise InputError(
            f"safety_checker={folder}: its config.json names {architectures}; must be a "
            "StableDiffusionSafetyChecker of diffusers"
        )
    return ExtractorSource(
        name="safety-checker",
        model=SAFETY,
        weights=files[0],
        config={"checker": config, "processor": processor},
        preprocessing=_preprocessing(processor, folder),
    )


def processor_folder(source: ExtractorSource) -> Path:
    """Return the folder of a safety checker's feature extractor."""
    beside = source.folder.parent / "feature_extractor"
    return source.folder if (source.folder / PREPROCESSOR_FILE).is_file() else beside


def _preprocessing(processor: dict[str, Any], folder: str) -> Preprocessing:
    size = processor.get("crop_size", processor.get("size"))
    edge = next(iter(size.values()), None) if isinstance(size, dict) else size
    try:
        mean, std = (tuple(map(float, processor[key])) for key in ("image_mean", "image_std"))
    except (KeyError, TypeError, ValueError):
        mean = std = ()
    if not isinstance(edge, int) or not mean:
        raise InputError(
            f"safety_checker={folder}: {PREPROCESSOR_FILE} lacks crop_size, image_mean or "
            "image_std; get the file again"
        )
    return Preprocessing(edge, mean, std)


def _read(path: Path, folder: str) -> dict[str, Any]:
    try:
        values = parse_json(read_regular(path, follow_links=True))
    except (OSError, ValueError) as error:
        raise InputError(f"safety_checker={folder}: {path} is damaged ({error})") from error
    if not isinstance(values, dict):
        raise InputError(f"safety_checker={folder}: {path} is not a JSON object")
    return values
