"""Where judges and references come from, and a metric's fingerprint, without torch.

Owns the rule of which files stand behind a measurement: a planner asks here
whether a figure exists already, so nothing heavier than file digests is used.
Refuses to download: what is absent is named, with what to get.
"""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from turbo_lab.errors import InputError, MissingFilesError, TurboLabError, unknown_name
from turbo_lab.identity import DigestCache, digest
from turbo_lab.metrics.table import measurement_name, metric_info, provider

WEIGHTS_FILE = "open_clip_model.safetensors"
CONFIG_FILE = "open_clip_config.json"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt")
_PACKAGE = Path(__file__).parent.parent
NANO_CLIP = _PACKAGE / "data" / "weights" / "nano-clip"
REFERENCES = _PACKAGE / "data" / "reference"

# open_clip/constants.py: OPENAI_DATASET_MEAN and _STD, its default for every model
_MEAN = (0.48145466, 0.4578275, 0.40821073)
_STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class Preset:
    """A published open_clip model, known by name."""

    model: str
    """open_clip's name of it."""
    tag: str
    """Of its weights."""
    repository: str
    """Where ``hf download`` gets it (open_clip/pretrained.py)."""
    architecture: str
    """open_clip's configuration that the weights were trained with."""


PRESETS: Mapping[str, Preset] = {
    "ViT-B-32-openai": Preset(
        "ViT-B-32", "openai", "timm/vit_base_patch32_clip_224.openai", "ViT-B-32-quickgelu"
    ),
    "ViT-g-14-laion2b_s12b_b42k": Preset(
        "ViT-g-14", "laion2b_s12b_b42k", "laion/CLIP-ViT-g-14-laion2B-s12B-b42K", "ViT-g-14"
    ),
}
"""Those that published CLIP scores are by; found without importing open_clip."""

INCEPTION = "inception-2015-12-05"
INCEPTION_FILE = "weights-inception-2015-12-05-6726825d.pth"
INCEPTION_SHA256 = "6726825d"
"""How the digest of torch-fidelity's file starts. By any other network it is no FID."""
_TF1_BILINEAR = "bilinear of TensorFlow 1, no antialiasing"


@dataclass(frozen=True)
class Preprocessing:
    """Image constants; part of the extractor's digest."""

    image_size: int
    """Pixels; the shorter side is resized to it, then the centre is cut out."""
    mean: tuple[float, ...]
    """Of each channel, on the scale 0 to 1."""
    std: tuple[float, ...]
    """Of each channel, on the scale 0 to 1."""
    interpolation: str = "bicubic"
    """``bicubic`` or ``bilinear``, with antialiasing; unused where sizes agree.
    TensorFlow's for Inception, which stretches both sides."""
    resize_mode: str = "shortest"
    """open_clip's: ``shortest``, or ``squash`` to a square with no crop."""


@dataclass(frozen=True)
class ExtractorSource:
    """A judge on this machine: what to load and what it is by content."""

    name: str
    """Short, for ``fd/<name>``: ``nano-clip`` or ``ViT-B-32-openai``."""
    model: str
    """open_clip's model name; for a folder with its own config, ``local-dir``;
    :data:`INCEPTION` for torch-fidelity's network."""
    weights: Path
    """The safetensors file; a ``.pth`` file for Inception."""
    config: Mapping[str, Any]
    """open_clip's ``model_cfg``: architecture, part of the digest."""
    preprocessing: Preprocessing
    """Constants of the image side."""

    @property
    def folder(self) -> Path:
        """Of the weights; a ``local-dir`` model also has its config and tokenizer there."""
        return self.weights.parent

    def files(self) -> list[Path]:
        """Everything whose bytes change a feature."""
        own = [self.folder / name for name in TOKENIZER_FILES] if self.model == "local-dir" else []
        return [self.weights, *(file for file in own if file.is_file())]

    def digest(self, cache: DigestCache) -> str:
        """Of weights, tokenizer, architecture and preprocessing; names do not count.

        Raises :class:`MissingFilesError` or :class:`InputError` where Inception's
        file is absent or another.
        """
        if self.model == INCEPTION:
            _check_inception(self.weights, cache)
        return digest(
            {
                "files": {file.name: cache.file(file) for file in self.files()},
                "config": self.config,
                "preprocessing": _plain(self.preprocessing),
                "dtype": "float32",
            }
        )


@dataclass(frozen=True)
class ReferenceSource:
    """A file of reference statistics for Fréchet distances."""

    name: str
    """Such as ``scenes-heldout``."""
    path: Path
    """A safetensors file as :func:`turbo_lab.metrics.reference.save_reference` writes it."""

    def digest(self, cache: DigestCache) -> str:
        """sha256 of the file; raises :class:`MissingFilesError` where it is absent."""
        if not self.path.is_file():
            raise MissingFilesError(
                f"reference={self.name}: {self.path} does not exist; "
                "build it with: turbo-lab reference build"
            )
        return cache.file(self.path)


@dataclass(frozen=True)
class MetricContext:
    """What the measurements of one request are taken with. Holds no weights."""

    extractor: ExtractorSource
    """The judge."""
    reference: ReferenceSource | None = None
    """What Fréchet distances compare with; ``None``: there is none, ``fd`` is an error."""
    prompt_set: tuple[str, ...] = ()
    """Captions that r_precision chooses from, every measured prompt among them; its
    value falls with their number. Empty: r_precision is an error."""
    inception: ExtractorSource | None = None
    """The judge of ``fid``; ``None``: it is looked for in torch-fidelity's cache."""
    inception_reference: ReferenceSource | None = None
    """What ``fid`` compares with; ``None``: there is none, ``fid`` is an error."""

    def of(self, metric: str) -> MetricContext:
        """With the judge and the reference of one metric in the first places."""
        if metric_info(metric).judge == "chosen":
            return self
        judge = self.inception or inception_source()
        return replace(self, extractor=judge, reference=self.inception_reference)


def extractor_source(name: str = "nano-clip", pretrained: str | None = None) -> ExtractorSource:
    """Find a judge: ``nano-clip``, a preset, a folder, or an open_clip model and its weights.

    ``pretrained`` is a tag that open_clip knows for the model ``name`` (looked
    for in the local Hugging Face cache) or a ``.safetensors`` file of the preset
    or architecture ``name``. Never downloads: raises :class:`MissingFilesError` that says what
    to get. ``inception``: the judge of ``fid``, for a reference or ``kid`` by it.
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
    constants = Preprocessing(int(config["vision_cfg"]["image_size"]), _MEAN, _STD)
    return ExtractorSource(f"{name}-{weights.stem}", model, weights, config, constants)


def inception_source(weights: str | None = None) -> ExtractorSource:
    """torch-fidelity's Inception: a file, or where torch.hub keeps what it downloaded.

    Whether the file is there is asked when its digest is.
    """
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    hub = Path(os.environ.get("TORCH_HOME") or Path(home) / "torch") / "hub" / "checkpoints"
    return ExtractorSource(
        name=INCEPTION,
        model=INCEPTION,
        weights=Path(weights).expanduser() if weights else hub / INCEPTION_FILE,
        config={"network": "InceptionV3 of torch-fidelity", "layer": "2048"},
        preprocessing=Preprocessing(299, (128.0,) * 3, (128.0,) * 3, _TF1_BILINEAR),
    )


def reference_source(name: str = "scenes-heldout") -> ReferenceSource:
    """A packaged reference by name, or a ``.safetensors`` file by path."""
    if name.endswith(".safetensors"):
        return ReferenceSource(Path(name).stem, Path(name))
    packaged = {"scenes-heldout", *(path.stem for path in REFERENCES.glob("*.safetensors"))}
    if name not in packaged:
        raise unknown_name("reference", name, [*packaged, "FILE.safetensors"])
    return ReferenceSource(name, REFERENCES / f"{name}.safetensors")


def metric_details(name: str, context: MetricContext, cache: DigestCache) -> dict[str, Any]:
    """All that a figure was measured with; its fingerprint is the digest of this.

    Raises :class:`InputError` for an unknown metric, :class:`MissingFilesError`
    for files that are absent.
    """
    info, context = metric_info(name), context.of(name)
    _check_extractor(name, context.extractor.name)
    details: dict[str, Any] = {
        "metric": name.partition("/")[0],
        "version": info.version,
        **provider(name),
        "unit": info.unit,
        "extractor": context.extractor.digest(cache),
        "extractor_name": context.extractor.name,
        "preprocessing": _plain(context.extractor.preprocessing),
        "dtype": "float32",
    }
    if info.needs_text:
        # scores are published as a cosine, times 100 and times 2.5, with and without a prefix
        details |= {"scale": 1.0, "prefix": ""}
    if details["metric"] == "r_precision":
        if not context.prompt_set:
            raise InputError("metrics=r_precision: needs the prompt set that it chooses from")
        details["prompt_set"] = digest(sorted(set(context.prompt_set)))
    if info.needs_reference:
        if context.reference is None:
            key = "reference=NAME or reference=FILE"
            if info.judge == "inception":
                key = (
                    "metrics.fid_reference=FILE; make it with: turbo-lab reference build FOLDER "
                    "metrics.extractor=inception"
                )
            raise InputError(f"metrics={name}: needs {key}")
        details["reference"] = context.reference.digest(cache)
        details["reference_name"] = context.reference.name
    return details


def details_or_error(
    name: str, context: MetricContext, cache: DigestCache
) -> tuple[dict[str, Any], TurboLabError | None]:
    """:func:`metric_details`, or details that say so and the error where a file is absent.

    So that one metric's missing reference is that metric's error. An unknown
    name, or a distance by another extractor than the context's, raises.
    """
    info = metric_info(name)
    _check_extractor(name, context.of(name).extractor.name)
    try:
        return metric_details(name, context, cache), None
    except TurboLabError as error:
        kind = type(error).__name__  # no text: a path is no part of an identity
        metric = name.partition("/")[0]
        return {"metric": metric, "version": info.version, "unavailable": kind}, error


def metric_fingerprints(
    names: Sequence[str], context: MetricContext, cache: DigestCache | None = None
) -> dict[str, str]:
    """Measurement name to fingerprint, e.g. ``{"fd/nano-clip": "3f..."}``; imports no torch.

    What :func:`turbo_lab.metrics.evaluate.measure` will write. Raises
    :class:`InputError` for a name that is wrong whatever the files are.
    """
    cache = cache or DigestCache()
    return {
        measurement_name(name.partition("/")[0], context.extractor.name): digest(
            details_or_error(name, context, cache)[0]
        )
        for name in names
    }


def _check_extractor(name: str, extractor: str) -> None:
    wanted = name.partition("/")[2]
    if wanted and wanted != extractor:
        raise InputError(f"metrics={name}: the extractor is {extractor}; ask for fd/{extractor}")


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
            f"{INCEPTION_SHA256}...: a distance by another network is no FID; use fd/<extractor>"
        )


def _from_folder(name: str, folder: Path) -> ExtractorSource:
    missing = [f for f in (CONFIG_FILE, WEIGHTS_FILE) if not (folder / f).is_file()]
    if missing:
        raise MissingFilesError(
            f"extractor={name}: {folder} lacks {' and '.join(missing)}; "
            "give the folder of an open_clip model in its own format"
        )
    values = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    config, image = values["model_cfg"], values.get("preprocess_cfg", {})
    _check_text_tower(name, folder, config["text_cfg"])
    size = config["vision_cfg"]["image_size"]
    if not isinstance(size, int):
        raise InputError(f"extractor={name}: image_size={size}: must be one number, a square")
    preprocessing = Preprocessing(
        image_size=size,
        mean=tuple(float(v) for v in image.get("mean", _MEAN)),
        std=tuple(float(v) for v in image.get("std", _STD)),
        interpolation=str(image.get("interpolation", "bicubic")),
        resize_mode=str(image.get("resize_mode", "shortest")),
    )
    if preprocessing.resize_mode not in ("shortest", "squash"):
        raise InputError(
            f"extractor={name}: resize_mode={preprocessing.resize_mode}: must be shortest or squash"
        )
    return ExtractorSource(name, "local-dir", folder / WEIGHTS_FILE, config, preprocessing)


def _check_text_tower(name: str, folder: Path, text: Mapping[str, Any]) -> None:
    """Refuse what open_clip would look for elsewhere when the model is loaded."""
    if text.get("hf_model_name"):
        raise InputError(
            f"extractor={name}: its text tower is {text['hf_model_name']} of transformers, which "
            "open_clip fetches by name; take a model with a text tower of its own"
        )
    has_tokenizer = any((folder / file).is_file() for file in TOKENIZER_FILES)
    if text.get("hf_tokenizer_name") and not has_tokenizer:
        raise MissingFilesError(
            f"extractor={name}: {folder} lacks {TOKENIZER_FILES[0]}; put the tokenizer's files "
            "beside the weights"
        )


def _tagged(model: str, tag: str) -> Preset:
    """Where one of open_clip's tags lies, by its own table."""
    import open_clip  # and torch with it: only for a tag that is no preset

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
    """Of weights and config, as ``hf download`` leaves them."""
    from huggingface_hub import try_to_load_from_cache

    folder = Path()
    for file in (WEIGHTS_FILE, CONFIG_FILE):
        found = try_to_load_from_cache(preset.repository, file)
        if not isinstance(found, str):
            raise MissingFilesError(
                f"metrics.extractor={preset.model}-{preset.tag}: {file} of {preset.repository} is "
                f"not in the Hugging Face cache; get it with: hf download {preset.repository} "
                f"{WEIGHTS_FILE} {CONFIG_FILE}, or name a file with metrics.pretrained="
                f"FILE.safetensors"
            )
        folder = Path(found).parent
    return folder


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
    file = configs / f"{name}.json"
    if not file.is_file():
        raise unknown_name("extractor", name, [path.stem for path in configs.glob("*.json")])
    values: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return values


def _plain(preprocessing: Preprocessing) -> dict[str, Any]:
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
