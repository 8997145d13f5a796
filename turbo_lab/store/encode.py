"""Encoding of a drawn batch as the files of the store: PNG images and their record.

Pure: pixels in, bytes out. Owns the text in a PNG file, so that an image that was copied out of
the store can be drawn again and compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from turbo_lab import images
from turbo_lab.environment import Keys
from turbo_lab.identity import array_sha256, canonical_json
from turbo_lab.infotext import DrawnImage, infotext_of
from turbo_lab.request.recipe import Batch
from turbo_lab.store.record import BatchRecord, Exactness, ImageEntry
from turbo_lab.store.store import reuse_key

if TYPE_CHECKING:
    import torch


EncodePng = Callable[[np.ndarray, Mapping[str, str]], bytes]
"""Function from pixels, (H, W, 3) uint8, and the texts of a PNG file to its bytes."""


@dataclass(frozen=True)
class DrawnBatch:
    """One batch as it came from the pipeline."""

    batch: Batch
    """Recipe and rows."""
    exactness: Exactness
    """How the rows were computed."""
    keys: Keys
    """Fingerprint keys of the environment that drew it."""
    pixels: np.ndarray
    """(N, H, W, 3) uint8 in [0, 255], RGB."""
    stages: Mapping[str, torch.Tensor] | None = None
    """Tensors to hash, by stage; ``None``: no hashes."""
    notes: tuple[str, ...] = ()
    """Facts about how it was drawn that a reader must know."""
    adapter_changes: Mapping[str, float] | None = None
    """Relative change of the weights by each LoRA, by name; ``None``: there is no LoRA."""
    negative_prompt: str | None = None
    """Text of the negative prompt, whose digest is in the recipe; ``None`` if it has no effect."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Names of its model, adapters and VAE, by digest; for people."""
    hashes: Mapping[str, str] = field(default_factory=dict)
    """Hashes that other programs know its weights by, by digest; only what is known."""
    source_names: Mapping[str, str] = field(default_factory=dict)
    """Names of its source images' files, by digest."""


def encode_batch(
    drawn: DrawnBatch,
    encode_png: EncodePng = images.encode_png,
) -> tuple[BatchRecord, dict[str, bytes]]:
    """Return a batch's record and its PNG files by name, in image order."""
    batch, layout = drawn.batch, drawn.batch.layout
    hashes = None if drawn.stages is None else {k: stage_sha256(t) for k, t in drawn.stages.items()}
    shared = _shared_text(drawn, hashes)
    files: dict[str, bytes] = {}
    entries = []
    begins = layout.sources or (None,) * len(layout.seeds)
    rows = zip(layout.prompts, layout.seeds, begins, drawn.pixels, strict=True)
    for index, (prompt, seed, source, image) in enumerate(rows):
        entry = ImageEntry(
            file=f"{index:02d}-seed{seed}.png",
            pixel_sha256=images.pixel_sha256(image),
            prompt=prompt,
            seed=seed,
            source=source,
        )
        own = {"prompt": prompt, "seed": seed, "row": index, "pixel_sha256": entry.pixel_sha256}
        text = {
            "turbo-lab": canonical_json(shared | own),
            "parameters": _readable(drawn, entry),
        }
        files[entry.file] = encode_png(image, text)
        entries.append(entry)
    record = BatchRecord(
        batch_id=batch.batch_id,
        reuse_key=reuse_key(batch.batch_id, drawn.keys, drawn.exactness),
        exactness=drawn.exactness,
        recipe=batch.recipe,
        images=tuple(entries),
        stages=hashes,
        notes=drawn.notes,
        adapter_changes=drawn.adapter_changes,
    )
    return record, files


def _shared_text(drawn: DrawnBatch, hashes: Mapping[str, str] | None) -> dict[str, object]:
    """Return what the text inside each PNG of a batch has in common."""
    batch, layout = drawn.batch, drawn.batch.layout
    sources = {"sources": list(layout.sources)} if layout.sources else {}
    return {
        "recipe": batch.recipe.plain(),
        "negative_prompt": drawn.negative_prompt,
        "batch_id": batch.batch_id,
        "rows": {"prompts": list(layout.prompts), "seeds": list(layout.seeds), **sources},
        "exactness": drawn.exactness,
        "stages": hashes,
        "keys": dict(drawn.keys),
        "models": dict(drawn.names),
        **({"sources": dict(drawn.source_names)} if layout.sources else {}),
    }


def stage_sha256(tensor: torch.Tensor) -> str:
    """Return the hash of a float tensor on any device, as a golden's mark has it."""
    dtype = str(tensor.dtype).removeprefix("torch.")
    return array_sha256(dtype, tensor.detach().to("cpu").float().numpy())


def _readable(drawn: DrawnBatch, entry: ImageEntry) -> str:
    """Return the text that other programs show and read."""
    source = entry.source and drawn.source_names.get(entry.source, entry.source[:12])
    image = DrawnImage(
        recipe=drawn.batch.recipe,
        prompt=entry.prompt,
        negative_prompt=drawn.negative_prompt,
        seed=entry.seed,
        names=drawn.names,
        hashes=drawn.hashes,
        source=source,
    )
    return str(infotext_of(image))
