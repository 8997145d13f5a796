"""Commits off the critical path: hashing, PNG encoding and the rename on a thread.

Owns the queue between the device and the disk. It is bounded: a disk slower
than the model makes the model wait, and memory does not grow with the sweep.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np

from turbo_lab import images
from turbo_lab.identity import array_sha256, canonical_json
from turbo_lab.request.recipe import Batch, as_plain
from turbo_lab.store.record import BatchRecord, Exactness, ImageEntry
from turbo_lab.store.store import Store

# Batches in flight; two keep the device busy while one is written.
_QUEUE_LENGTH = 4


@dataclass(frozen=True)
class _Item:
    """One batch on its way to the disk."""

    batch: Batch
    """What it is."""
    key: str
    """Its reuse key."""
    exactness: Exactness
    """Part of the key."""
    pixels: np.ndarray
    """(N, H, W, 3) uint8."""
    stages: Mapping[str, Any]
    """Tensors by stage."""
    notes: tuple[str, ...]
    """What a reader must know of how it was drawn."""
    names: Mapping[str, str]
    """Digest to name of its model and adapters."""
    on_done: Callable[[], None]
    """Called after the rename."""


class Committer:
    """Writes batches in the order they come; a failure stops the sweep at the next call.

    A context: on the way out, however, what is queued is committed and the thread ends.
    """

    def __init__(self, store: Store, parameters: Mapping[str, Any]) -> None:
        """Start the thread; ``parameters`` go into every PNG next to its recipe."""
        self._store, self._parameters = store, parameters
        self._queue: queue.Queue[_Item | Callable[[], None] | None]
        self._queue = queue.Queue(maxsize=_QUEUE_LENGTH)
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._work, name="commit", daemon=True)
        self._thread.start()

    def submit(
        self,
        batch: Batch,
        key: str,
        exactness: Exactness,
        pixels: np.ndarray,
        stages: Mapping[str, Any],
        notes: tuple[str, ...],
        names: Mapping[str, str],
        on_done: Callable[[], None],
    ) -> None:
        """Queue a batch's images, (N, H, W, 3) uint8, and its stages' tensors.

        ``on_done`` runs after the rename.
        """
        self._raise()
        self._queue.put(_Item(batch, key, exactness, pixels, stages, notes, names, on_done))

    def call(self, on_done: Callable[[], None]) -> None:
        """Queue what follows a commit, for a batch that is on disk already."""
        self._raise()
        self._queue.put(on_done)

    def drain(self) -> None:
        """Wait until everything queued is on disk; raises what went wrong."""
        self._queue.join()
        self._raise()

    def __enter__(self) -> Committer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._queue.put(None)
        self._thread.join()
        if kind is None:
            self._raise()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            try:
                if self._error is None:  # after a failure the rest is let go
                    self._do(item)
            except Exception as error:  # noqa: BLE001  (raised in the driver's thread)
                self._error = error
            finally:
                self._queue.task_done()
        self._queue.task_done()

    def _do(self, item: _Item | Callable[[], None]) -> None:
        if not isinstance(item, _Item):
            item()
            return
        commit_batch(
            self._store,
            item.batch,
            item.key,
            item.exactness,
            item.pixels,
            {**self._parameters, "models": dict(item.names)},
            item.stages,
            item.notes,
        )
        item.on_done()


def commit_batch(
    store: Store,
    batch: Batch,
    key: str,
    exactness: Exactness,
    pixels: np.ndarray,
    parameters: Mapping[str, Any],
    stages: Mapping[str, Any] | None = None,
    notes: tuple[str, ...] = (),
    encode_png: Callable[[np.ndarray, Mapping[str, str]], bytes] = images.encode_png,
) -> None:
    """Encode, hash and commit the images of one batch; ``stages``: tensors to hash.

    Each PNG has the hashes as well: an image alone can be drawn again and compared.
    """
    recipe = as_plain(batch.recipe)
    hashes = None if stages is None else {name: stage_sha256(t) for name, t in stages.items()}
    files: dict[str, bytes] = {}
    entries = []
    rows = zip(batch.layout.prompts, batch.layout.seeds, pixels, strict=True)
    for index, (prompt, seed, image) in enumerate(rows):
        name = f"{index:02d}-seed{seed}.png"
        pixel_sha256 = images.pixel_sha256(image)
        about = {
            "recipe": recipe,
            "prompt": prompt,
            "seed": seed,
            "batch_id": batch.batch_id,
            "row": index,
            "rows": {"prompts": list(batch.layout.prompts), "seeds": list(batch.layout.seeds)},
            "exactness": exactness,
            "pixel_sha256": pixel_sha256,
            "stages": hashes,
            **parameters,
        }
        text = {"turbo-lab": canonical_json(about), "parameters": readable(about)}
        files[name] = encode_png(image, text)
        entries.append(ImageEntry(name, pixel_sha256, prompt, seed))
    document = BatchRecord(
        batch.batch_id, key, exactness, batch.recipe, tuple(entries), hashes, notes
    )
    store.commit_batch(document, files)


def stage_sha256(tensor: Any) -> str:
    """As a golden's mark has it: of a float tensor on any device."""
    dtype = str(tensor.dtype).removeprefix("torch.")
    return array_sha256(dtype, tensor.detach().to("cpu").float().numpy())


def readable(about: Mapping[str, Any]) -> str:
    """The text that other tools show: prompt, then the settings in one line."""
    recipe = about["recipe"]
    settings = {
        "Steps": recipe["num_inference_steps"],
        "CFG scale": recipe["guidance_scale"],
        "Seed": about["seed"],
        "Size": f"{recipe['width']}x{recipe['height']}",
        "Model": about.get("models", {}).get(recipe["model"], recipe["model"][:12]),
    }
    return f"{about['prompt']}\n" + ", ".join(f"{k}: {v}" for k, v in settings.items())
