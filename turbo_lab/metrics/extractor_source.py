"""The files of an extractor and what they are by content; no torch.

An extractor is the network that turns images and prompts into features: nano-clip, an
open_clip model or torch-fidelity's Inception. Refuses to download: a message names what
is absent and how to get it.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turbo_lab.cards.hub import cached_file, snapshot
from turbo_lab.cards.packaged import WEIGHTS
from turbo_lab.errors import MALFORMED, InputError, MissingFilesError, unknown_name
from turbo_lab.identity import DigestCache, digest
from turbo_lab.untrusted.json_text import parse_json
from turbo_lab.untrusted.model_sizes import check_sizes
from turbo_lab.untrusted.paths import MAX_CONFIG_BYTES, confined, read_regular, user_path

WEIGHTS_FILE = "open_clip_model.safetensors"
CONFIG_FILE = "open_clip_config.json"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt")
NANO_CLIP = WEIGHTS / "nano-clip"
# How a prompt is cleaned before it is split into tokens.
_TOKENIZER_OPTIONS = ("clean", "strip_sep_token")

# open_clip/constants.py: OPENAI_DATASET_MEAN and _STD, its default for every model
_MEAN = (0.48145466, 0.4578275, 0.40821073)
_STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class Preset:
    """A published open_clip model that has a name here."""

    model: str
    """The name by which open_clip knows the model."""
    tag: str
    """The tag of its weights."""
    repository: str
    """The Hugging Face repository that holds it (open_clip/pretrained.py)."""
    architecture: str
    """The open_clip configuration that the weights were trained with."""


PRESETS: Mapping[str, Preset] = {
    "ViT-B-32-openai": Preset(
        "ViT-B-32", "openai", "timm/vit_base_patch32_clip_224.openai", "ViT-B-32-quickgelu"
    ),
    "ViT-g-14-laion2b_s12b_b42k": Preset(
        "ViT-g-14", "laion2b_s12b_b42k", "laion/CLIP-ViT-g-14-laion2B-s12B-b42K", "ViT-g-14"
    ),
}
"""Models of most published CLIP scores; found without importing open_clip."""

INCEPTION = "inception-2015-12-05"
SAFETY = "safety-checker"
INCEPTION_FILE = "weights-inception-2015-12-05-6726825d.pth"
INCEPTION_SHA256 = "6726825d"
"""First digits of the sha256 of torch-fidelity's file; another network does not give FID."""
_TF1_BILINEAR = "bilinear of TensorFlow 1, no antialiasing"


@dataclass(frozen=True)
class Preprocessing:
    """Constants of the image side; part of the extractor's digest."""

    image_size: int
    """Pixels; the shorter side is resized to it, then the centre is cut out."""
    mean: tuple[float, ...]
    """Mean of each channel, on the scale 0 to 1."""
    std: tuple[float, ...]
    """Standard deviation of each channel, on the scale 0 to 1."""
    interpolation: str = "bicubic"
    """``bicubic`` or ``bilinear``, with antialiasing; unused if the image has the size already.
    Inception uses TensorFlow's, which stretches both sides."""
    resize_mode: str = "shortest"
    """``shortest``, or ``squash`` to a square with no crop, as open_clip names them."""


@dataclass(frozen=True)
class ExtractorSource:
    """An extractor on this machine: the files to load, and their identity."""

    name: str
    """Short name, as in ``fd/<name>``: ``nano-clip`` or ``ViT-B-32-openai``."""
    model: str
    """The model name in open_clip; ``local-dir`` for a folder with its own config;
    :data:`INCEPTION` for torch-fidelity's network; :data:`SAFETY` for a safety checker."""
    weights: Path
    """The safetensors file; a ``.pth`` file for Inception."""
    config: Mapping[str, object]
    """The ``model_cfg`` of open_clip: the architecture, part of the digest."""
    preprocessing: Preprocessing
    """Resizing and normalisation of images."""

    @property
    def folder(self) -> Path:
        """The folder of the weights; a ``local-dir`` model keeps its config and tokenizer there."""
        return self.weights.parent

    def files(self) -> list[Path]:
        """Return every file whose bytes change a feature."""
        own = [self.folder / name for name in TOKENIZER_FILES] if self.model == "local-dir" else []
        return [self.weights, *(file for file in own if file.is_file())]

    def digest(self, cache: DigestCache) -> str:
        """Return the digest of weights, tokenizer, architecture and preprocessing, without names.

        Raises :class:`MissingFilesError` if Inception's file is absent, :class:`InputError`
        if it is another file.
        """
        if self.model == INCEPTION:
            _check_inception(self.weights, cache)
        return digest(
            {
                "files": {file.name: cache.file(file) for file in self.files()},
                "config": self.config,
                "preprocessing": plain_preprocessing(self.preprocessing),
                "dtype": "float32",
            }
        )


def extractor_source(name: str = "nano-clip", pretrained: str | None = None) -> ExtractorSource:
    """Find an extractor: ``nano-clip``, a preset, a folder, or an open_clip model with weights.

    ``pretrained`` is a tag that open_clip knows for the model ``name`` (looked
    for in the local Hugging Face cache) or a ``.safetensors`` file of the preset
    or architecture ``name``. ``inception`` is the extractor of ``fid``. Raises
    :class:`MissingFilesError` with the command that fetches what is absent.
    """
    if name in ("inception", INCEPTION):
        return inception_source(pretrained)
    preset = PRESETS.get(name) or PRESETS.get(f"{name}-{pretrained}")
    if preset is not None and pretrained in (None, preset.tag):
        return _from_folder(f"{preset.model}-{preset.tag}", _cached_hub_folder(preset))
    if pretrained is None:
        folder = NANO_CLIP if name == "nano-clip" else Path(name)
        if name != "nano-clip" and not folder.exists():
            raise _unknown_extractor(name)
        return _from_folder(name if name == "nano-clip" else folder.name, folder)
    if not pretrained.endswith(".safetensors"):
        tagged = _tagged(name, pretrained)
        return _from_folder(f"{name}-{pretrained}", _cached_hub_folder(tagged))
    weights = Path(pretrained)
    if not weights.is_file():
        raise MissingFilesError(f"extractor={name}: {weights} does not exist")
    model = preset.architecture if preset else name
    config = _builtin_config(model)
    if fetched := config["text_cfg"].get("hf_tokenizer_name"):
        raise InputError(
            f"extractor={name}: its tokenizer is {fetched} of the hub, which open_clip fetches by "
            "name; give the folder of the model in open_clip's own format, with its tokenizer"
        )
    constants = Preprocessing(int(config["vision_cfg"]["image_size"]), _MEAN, _STD)
    return ExtractorSource(
        f"{name}-{weights.stem}", model, weights=weights, config=config, preprocessing=constants
    )


def inception_source(weights: str | None = None) -> ExtractorSource:
    """Return torch-fidelity's Inception: a file, or the place where torch.hub downloads it.

    The file is looked for only when its digest is computed.
    """
    home = os.environ.get("XDG_CACHE_HOME") or user_path("~/.cache")
    hub = Path(os.environ.get("TORCH_HOME") or Path(home) / "torch") / "hub" / "checkpoints"
    return ExtractorSource(
        name=INCEPTION,
        model=INCEPTION,
        weights=user_path(weights) if weights else hub / INCEPTION_FILE,
        config={"network": "InceptionV3 of torch-fidelity", "layer": "2048"},
        preprocessing=Preprocessing(299, (128.0,) * 3, (128.0,) * 3, _TF1_BILINEAR),
    )


def _check_inception(weights: Path, cache: DigestCache) -> None:
    if not weights.is_file():
        raise MissingFilesError(
            f"fid: {weights} does not exist; get {INCEPTION_FILE} of torch-fidelity's release "
            "v0.2.0 and put it there, or name it with metrics.inception=FILE"
        )
    found = cache.file(weights)
    if not found.startswith(INCEPTION_SHA256):
        raise InputError(
            f"fid: {weights} has sha256 {found[:8]}..., torch-fidelity's weights have "
            f"{INCEPTION_SHA256}...: a distance by another network is "
            "not an FID; use fd/<extractor>"
        )


def _from_folder(name: str, folder: Path) -> ExtractorSource:
    missing = [f for f in (CONFIG_FILE, WEIGHTS_FILE) if not (folder / f).is_file()]
    if missing:
        raise MissingFilesError(
            f"extractor={name}: {folder} lacks {' and '.join(missing)}; "
            "give the folder of an open_clip model in its own format"
        )
    try:
        values = parse_json(
            read_regular(folder / CONFIG_FILE, follow_links=True, limit_bytes=MAX_CONFIG_BYTES)
        )
        config, image = values["model_cfg"], values.get("preprocess_cfg", {})
        vision, text = config["vision_cfg"], config["text_cfg"]
        preprocessing = Preprocessing(
            image_size=vision["image_size"],
            mean=tuple(float(v) for v in image.get("mean", _MEAN)),
            std=tuple(float(v) for v in image.get("std", _STD)),
            interpolation=str(image.get("interpolation", "bicubic")),
            resize_mode=str(image.get("resize_mode", "shortest")),
        )
        _check_towers(name, folder, vision, text)
    except MALFORMED as error:
        raise InputError(
            f"extractor={name}: {folder / CONFIG_FILE} is not the config of an open_clip model "
            f"({type(error).__name__}: {error}); get the file again"
        ) from error
    if not isinstance(size := preprocessing.image_size, int):
        raise InputError(f"extractor={name}: image_size={size}: must be one number, a square")
    if preprocessing.resize_mode not in ("shortest", "squash"):
        raise InputError(
            f"extractor={name}: resize_mode={preprocessing.resize_mode}: must be shortest or squash"
        )
    return ExtractorSource(
        name, "local-dir", weights=folder / WEIGHTS_FILE, config=config, preprocessing=preprocessing
    )


def _check_towers(
    name: str, folder: Path, vision: Mapping[str, object], text: Mapping[str, Any]
) -> None:
    """Refuse a model for which open_clip would fetch files or run code when it is loaded."""
    for tower in (vision, text):
        check_sizes(tower, f"extractor={name}: {CONFIG_FILE}")
    timm = str(vision.get("timm_model_name") or "")
    if ":" in timm or "/" in timm:
        raise InputError(
            f"extractor={name}: its vision tower is {timm[:80]!a}, which timm fetches by name; "
            "take a model whose vision tower is in timm or open_clip"
        )
    # open_clip passes them on to transformers, where one of them allows the folder's own code.
    for key, value in (text.get("tokenizer_kwargs") or {}).items():
        if key not in _TOKENIZER_OPTIONS or not isinstance(value, (str, bool)):
            raise InputError(
                f"extractor={name}: {CONFIG_FILE}: tokenizer_kwargs: {key[:80]!a} is not passed "
                f"on, only {' and '.join(_TOKENIZER_OPTIONS)} are; remove it, or get the file from "
                "a source that you trust"
            )
    if text.get("hf_model_name"):
        raise InputError(
            f"extractor={name}: its text tower is {text['hf_model_name']} of transformers, which "
            "open_clip fetches by name; take a model whose text tower is in open_clip"
        )
    has_tokenizer = any((folder / file).is_file() for file in TOKENIZER_FILES)
    if text.get("hf_tokenizer_name") and not has_tokenizer:
        raise MissingFilesError(
            f"extractor={name}: {folder} lacks {TOKENIZER_FILES[0]}; put the tokenizer's files "
            "next to the weights"
        )


def _tagged(model: str, tag: str) -> Preset:
    """Look up where a tag of open_clip is published, in its own table."""
    import open_clip  # and torch with it: only for a tag that is not a preset

    if tag not in open_clip.list_pretrained_tags_by_model(model):
        known = open_clip.list_pretrained_tags_by_model(model)
        if not known:
            raise _unknown_extractor(f"{model} {tag}")
        raise unknown_name(f"metrics.extractor={model} metrics.pretrained", tag, known)
    about = open_clip.get_pretrained_cfg(model, tag)
    repository, _, file = about.get("hf_hub", "").rpartition("/")
    if not repository or file:
        raise InputError(
            f"metrics.extractor={model} metrics.pretrained={tag}: is published as a pickle "
            f"({about['hf_hub'] or about['url']}), which is not loaded; convert it and name "
            "metrics.pretrained=FILE.safetensors"
        )
    return Preset(model, tag, repository, model)


def _cached_hub_folder(preset: Preset) -> Path:
    """Return the cache folder with weights and config, as ``hf download`` leaves them."""
    found = snapshot(preset.repository, None)
    for file in (WEIGHTS_FILE, CONFIG_FILE):
        if found is None or not cached_file(found[0], file).is_file():
            raise MissingFilesError(
                f"metrics.extractor={preset.model}-{preset.tag}: {file} of {preset.repository} is "
                f"not in the Hugging Face cache; get it with: hf download {preset.repository} "
                f"{WEIGHTS_FILE} {CONFIG_FILE}, or name a file with metrics.pretrained="
                f"FILE.safetensors"
            )
    assert found is not None, "the loop has looked into it"
    return found[0]


def _unknown_extractor(name: str) -> InputError:
    return unknown_name(
        "metrics.extractor",
        name,
        ["nano-clip", "inception", *PRESETS, "FOLDER", "MODEL metrics.pretrained=FILE.safetensors"],
    )


def _builtin_config(name: str) -> dict[str, Any]:
    # found, not imported: importing open_clip imports torch
    spec = importlib.util.find_spec("open_clip")
    if spec is None or spec.origin is None:
        raise MissingFilesError(
            "extractor: open_clip is not installed; pip install open_clip_torch"
        )
    configs = Path(spec.origin).parent / "model_configs"
    file = confined(configs, f"{name}.json", "extractor")
    if not file.is_file():
        raise unknown_name("extractor", name, [path.stem for path in configs.glob("*.json")])
    values: dict[str, Any] = parse_json(file.read_text(encoding="utf-8"))
    return values


def plain_preprocessing(preprocessing: Preprocessing) -> dict[str, object]:
    """Return the preprocessing as a digest and a measurement's details record it."""
    if preprocessing.interpolation == _TF1_BILINEAR:
        return {"resize": _TF1_BILINEAR, "size": "299x299", "scale": "(x - 128) / 128"}
    is_squashed = preprocessing.resize_mode == "squash"
    side = "both sides" if is_squashed else "shortest side"
    return {
        "resize": f"{side}, antialias, rounded to uint8; none where sizes agree",
        "crop": "none" if is_squashed else "centre",
        "image_size": preprocessing.image_size,
        "interpolation": preprocessing.interpolation,
        "mean": list(preprocessing.mean),
        "std": list(preprocessing.std),
    }
