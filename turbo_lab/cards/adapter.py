"""LoRA files: where they are, and whether they fit a model, from their headers alone.

Owns the comparison of a LoRA's shapes with the UNet's. A file in an unknown naming scheme is
passed on, because only diffusers can tell whether it fits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from turbo_lab.cards.card import AdapterCard, adapter_card, adapter_names
from turbo_lab.cards.hub import cached_file, cached_snapshot, missing_from_cache
from turbo_lab.cards.locate import ModelFiles
from turbo_lab.cards.packaged import WEIGHTS
from turbo_lab.errors import InputError, MissingFilesError, unknown_name
from turbo_lab.identity import DigestCache
from turbo_lab.untrusted.headers import read_header

DEFAULT_FILE = "pytorch_lora_weights.safetensors"
# peft, diffusers and kohya write the same two matrices under three pairs of names.
_MATRIX = re.compile(
    r"^(?P<module>.+?)[._](?P<half>lora_A|lora_B|lora\.down|lora\.up|lora_down|lora_up)"
    r"(?:\.default)?\.weight$"
)
_DOWN = ("lora_A", "lora.down", "lora_down")


@dataclass(frozen=True)
class AdapterFiles:
    """A LoRA on this machine."""

    name: str
    """Name or path, as the user wrote it."""
    path: Path
    """Safetensors file."""
    digest: str
    """sha256 of the file."""
    modules: Mapping[str, tuple[int, int, int]]
    """Rank, inputs and outputs by UNet module; empty if the naming scheme is unknown."""
    base: str | None
    """Card of the model it was trained on; ``None`` for the user's own file."""
    revision: str | None
    """Commit in the cache; ``None`` for packaged and local files."""
    license: str
    """Licence of the weights; ``unknown`` for the user's own file."""
    license_source: str
    """Place where the licence is stated."""


def locate_adapter(name: str, cache: DigestCache | None = None) -> AdapterFiles:
    """Find a LoRA by card name, or by the path of its file or folder.

    Raises :class:`InputError` for an unknown name, and
    :class:`MissingFilesError` for files that are not on this machine.
    """
    cache = cache or DigestCache()
    card = adapter_card(name) if name in adapter_names() else None
    if card is not None:
        path, revision = _card_file(card)
    else:
        path, revision = _own_file(name), None
    return AdapterFiles(
        name=name,
        path=path,
        digest=cache.file(path),
        modules=_unet_modules(read_header(path, f"lora={name}").shapes),
        base=card.base if card else None,
        revision=revision,
        license=card.license if card else "unknown",
        license_source=card.license_source if card else "the user's own file",
    )


def check_adapter_fits(adapter: AdapterFiles, model: ModelFiles) -> None:
    """Raise :class:`InputError` for a LoRA whose shapes do not fit the UNet."""
    weights = _unet_shapes(model)
    if not weights or not adapter.modules:
        return
    kohya = {module.replace(".", "_"): shape for module, shape in weights.items()}
    for module, (_, width_in, width_out) in adapter.modules.items():
        shape = weights.get(module) or kohya.get(module)
        if shape is None and module not in weights and "." not in module:
            continue  # kohya's own block names, which diffusers converts
        if shape is None:
            problem = f"adapts {module}, which this model does not have"
        elif shape[:2] != (width_out, width_in):
            problem = f"{module} is {width_out}x{width_in} in the LoRA and "
            problem += f"{shape[0]}x{shape[1]} in the model"
        else:
            continue
        trained = f" (it was trained on {adapter.base})" if adapter.base else ""
        raise InputError(
            f"lora={adapter.name}: is for another architecture than model={model.name}: "
            f"{problem}; use a LoRA trained for it{trained}"
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
    path = Path(name).expanduser()
    if path.is_dir():
        path = path / DEFAULT_FILE
        if not path.is_file():
            raise MissingFilesError(f"lora={name}: the folder has no {DEFAULT_FILE}")
    if path.is_file():
        if path.suffix != ".safetensors":
            raise InputError(f"lora={name}: must be a .safetensors file; pickles are not loaded")
        return path.resolve()
    if "/" in name or path.suffix:
        raise MissingFilesError(f"lora={name}: there is no such file or folder")
    raise unknown_name("lora", name, ["none", *adapter_names()])


def _unet_modules(header: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, int, int]]:
    """Return rank, inputs and outputs by UNet module, of linear layers and convolutions."""
    halves: dict[str, dict[str, tuple[int, ...]]] = {}
    for key, shape in header.items():
        found = _MATRIX.match(key)
        if found is None or len(shape) < 2:
            continue
        for prefix in ("unet.", "lora_unet_"):
            if key.startswith(prefix):
                module = found["module"].removeprefix(prefix)
                half = "down" if found["half"] in _DOWN else "up"
                halves.setdefault(module, {})[half] = shape
    return {
        module: (pair["down"][0], pair["down"][1], pair["up"][0])
        for module, pair in halves.items()
        if len(pair) == 2
    }


def _unet_shapes(model: ModelFiles) -> dict[str, tuple[int, ...]]:
    """Return the shape of each module's weight; empty for a single file, which has other names."""
    files = [f for f in model.files if f.startswith("unet/") and f.endswith(".safetensors")]
    shapes: dict[str, tuple[int, ...]] = {}
    for relative in files:
        header = read_header(model.path / relative, f"model={model.name}").shapes
        shapes |= {
            key.removesuffix(".weight"): shape
            for key, shape in header.items()
            if key.endswith(".weight")
        }
    return shapes
