"""Models whose weights are the user's own folder or file, instead of a card's.

Owns what such a model takes from the card that it is named with: its settings, never its name
or licence. Also owns the notes that tell the user what was assumed.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from turbo_lab.cards import ModelCard, ModelFiles
from turbo_lab.errors import InputError
from turbo_lab.request.request import NATIVE, Request, parse_resolution
from turbo_lab.untrusted.paths import user_path

# A lone file is loaded with SDXL's configs, which say 1024 pixels.
_SINGLE_FILE_EDGE = 1024
_UNKNOWN = "unknown"
LOCAL = "local"
"""Name of the card that has no weights."""


def is_own(name: str, path: str | None, given: Collection[str]) -> bool:
    """Return whether the weights are the user's own, and not those of the card ``name``.

    ``given``: config keys that the user named. The weights of a card with a path are the card's,
    and so are name and licence.
    """
    return path is not None and (name == LOCAL or "model.path" in given)


def with_own_name(
    card: ModelCard, files: ModelFiles, given: Collection[str]
) -> tuple[ModelCard, ModelFiles]:
    """Return card and files under the name of the user's own weights, and with their licence.

    ``given``: config keys that the user named; a licence that is not among them is unknown.
    """
    if card.path is None or not is_own(card.name, card.path, given):
        return card, files
    path = user_path(card.path).resolve()
    name = path.stem if path.is_file() else path.name
    is_given = "model.license" in given
    text = card.license if is_given else _UNKNOWN
    source = "model.license" if is_given else "the user's own files"
    return (
        replace(card, name=name, license=text, license_source=source),
        replace(files, name=name, license=text, license_source=source),
    )


def with_native_size(request: Request, files: ModelFiles) -> Request:
    """Return the request at the size that the model's configs name."""
    try:
        width, height = parse_resolution(files.resolution or _SINGLE_FILE_EDGE)
    except InputError as error:
        raise InputError(
            f"resolution={NATIVE}: model={files.name} was made for {files.resolution} pixels, "
            "which is not a multiple of 64; set resolution=WIDTHxHEIGHT"
        ) from error
    return replace(request, width=width, height=height)


def assumptions(
    card_name: str, files: ModelFiles, request: Request, given: Collection[str]
) -> tuple[str, ...]:
    """Return what was assumed about the user's own weights, one note each.

    ``card_name``: the card that they were named with, which provides the settings.
    """
    settings = {
        "num_inference_steps": str(request.num_inference_steps),
        "guidance_scale": f"{request.guidance_scale:g}",
    }
    assumed = [f"{key}={value}" for key, value in settings.items() if key not in given]
    notes = []
    if assumed:
        source = "a few-step model" if card_name == LOCAL else f"model={card_name}"
        notes.append(
            f"model={files.name}: {' and '.join(assumed)} assumed, as for {source}; set both if "
            "it is another kind of model"
        )
    if "resolution" not in given:
        notes += _about_size(card_name, files, request)
    return tuple(notes)


def _about_size(card_name: str, files: ModelFiles, request: Request) -> list[str]:
    size, edge = f"{request.width}x{request.height}", files.resolution
    if edge is None:
        reason = f"a lone file does not name its size; set resolution= if it is not {size}"
        return [f"model={files.name}: resolution={size} assumed: {reason}"]
    if size == f"{edge}x{edge}":
        return [f"model={files.name}: drawn at {size}, the size in its configs"]
    return [
        f"model={files.name}: drawn at {size}, as for model={card_name}; its configs name "
        f"{edge}x{edge}; set resolution={NATIVE} to draw at that size"
    ]
