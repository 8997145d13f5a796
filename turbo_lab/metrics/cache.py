"""Features on disk: an extractor's features of an image or a text are computed once.

Owns the entries, one small safetensors file each under ``features/`` of the
user cache, addressed by content: pixel hash (or the text's sha256), the
extractor's digest (weights, tokenizer, architecture, preprocessing, dtype) and
the kind of device. Refuses an entry whose digest does not fit: it is computed
again. An entry gets its name by one rename, so processes may share the folder;
the folder may be deleted at any time.

A feature keeps the bits of the batch that it was first computed in; other
batches move it in the seventh digit, as other thread counts do.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from turbo_lab.errors import InputError
from turbo_lab.identity import sha256_text, user_cache
from turbo_lab.images import pixel_sha256
from turbo_lab.metrics.inputs import Extractor, check_images
from turbo_lab.untrusted.paths import replace_file

Features = npt.NDArray[np.float32]


class FeatureCache:
    """A folder of feature rows, float32, by content."""

    def __init__(self, folder: Path | None = None) -> None:
        """Keep rows in ``folder``; by default ``features`` of the user cache."""
        self.folder = folder or user_cache() / "features"
        self._root = str(self.folder)

    def get(self, extractor: str, kind: str, content: str) -> Features | None:
        """Return a row, (d,) float32; ``None`` if there is no sound entry.

        ``extractor``: digest of the extractor and device; ``kind``: ``image`` or ``text``.
        """
        from safetensors import SafetensorError, deserialize

        try:
            with open(self._path(extractor, kind, content), "rb", buffering=0) as file:  # noqa: PTH123
                entry = dict(deserialize(file.read()))
            row = np.frombuffer(entry["features"]["data"], dtype=np.float32)
            kept = bytes(entry["digest"]["data"])
        except FileNotFoundError:
            return None
        except (SafetensorError, KeyError, ValueError, OSError):  # damaged: made again
            return None
        return row if kept == _digest(extractor, kind, content, row) else None

    def put(self, extractor: str, kind: str, content: str, row: Features) -> None:
        """Keep one row; the last of two writers wins, with an equal row."""
        from safetensors.numpy import save

        digest = np.frombuffer(_digest(extractor, kind, content, row), dtype=np.uint8)
        entry = save({"features": np.ascontiguousarray(row, dtype=np.float32), "digest": digest})
        path = Path(self._path(extractor, kind, content))
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, entry)

    def _path(self, extractor: str, kind: str, content: str) -> str:
        # Text, not Path: this is a good part of what a known image costs.
        return f"{self._root}/{extractor}/{kind}/{content[:2]}/{content}.safetensors"


class CachedExtractor:
    """An extractor that is loaded only for what the cache does not hold."""

    def __init__(
        self,
        name: str,
        digest: str,
        load: Callable[[], Extractor],
        cache: FeatureCache,
        device: str = "cpu",
    ) -> None:
        """Call ``load`` once, at the first image or text that is not in the cache."""
        self.name = name
        self.digest = digest
        self._load, self._cache = load, cache
        self._extractor: Extractor | None = None
        # A CPU and a GPU differ in the fourth digit: never in one set of features.
        self._address = f"{digest}-{device.partition(':')[0]}"
        self._texts: dict[str, Features] = {}
        self._may_write = True

    def image_features(self, images: npt.NDArray[np.uint8]) -> Features:
        """Return (N, d) float32 for (N, H, W, 3) uint8; equal images are computed once."""
        check_images(images)
        keys = [pixel_sha256(image) for image in images]
        first: dict[str, int] = {}
        for index, key in enumerate(keys):
            first.setdefault(key, index)

        def compute(new: list[str]) -> Features:
            return self._own().image_features(images[[first[key] for key in new]])

        rows = self._rows("image", list(first), compute)
        return np.stack([rows[key] for key in keys])

    def text_features(self, prompts: Sequence[str]) -> Features:
        """Return (N, d) float32 for N texts; each distinct text is read or encoded once."""
        if not prompts:
            raise InputError("prompts: at least one is needed")
        unknown = [text for text in dict.fromkeys(prompts) if text not in self._texts]
        by_key = {sha256_text(text): text for text in unknown}

        def compute(new: list[str]) -> Features:
            return self._own().text_features([by_key[key] for key in new])

        rows = self._rows("text", list(by_key), compute)
        self._texts |= {by_key[key]: row for key, row in rows.items()}
        return np.stack([self._texts[text] for text in prompts])

    def _rows(
        self, kind: str, keys: Sequence[str], compute: Callable[[list[str]], Features]
    ) -> dict[str, Features]:
        """Return one row per key: those kept, and the rest in one pass of the extractor."""
        found = {key: self._cache.get(self._address, kind, key) for key in keys}
        new = [key for key, row in found.items() if row is None]
        rows = {key: row for key, row in found.items() if row is not None}
        if new:
            computed = compute(new)
            for key, row in zip(new, computed, strict=True):
                rows[key] = row
                self._keep(kind, key, row)
        return rows

    def _keep(self, kind: str, key: str, row: Features) -> None:
        if not self._may_write:
            return
        try:
            self._cache.put(self._address, kind, key, row)
        except OSError as error:  # the value is needed now; the file only saves time later
            self._may_write = False
            warnings.warn(
                f"{self._cache.folder}: features are not kept ({error.strerror or error}); "
                "point TURBO_LAB_CACHE at a folder that can be written to",
                stacklevel=2,
            )

    def _own(self) -> Extractor:
        if self._extractor is None:
            self._extractor = self._load()
        return self._extractor


def _digest(extractor: str, kind: str, content: str, row: Features) -> bytes:
    """Return the sha256 of an entry with its address, so that a misplaced row is refused."""
    address = f"{extractor}\n{kind}\n{content}\nfloat32\n"
    return hashlib.sha256(address.encode() + row.astype("<f4").tobytes()).digest()
