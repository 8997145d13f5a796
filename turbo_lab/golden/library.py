"""The folder of goldens: which cases there are, and each one's files.

Layout::

    cases.json                    name -> config overrides: what must have a golden
    <name>/golden.json            the sidecar
    <name>/tensors.safetensors    noise, latents and UNet outputs, as far as they fit
    <name>/image.png              the images side by side

A case is kept under 60 KiB. Files that do not fit lie by their sha256 in a
content store outside the repository instead (``$TURBO_LAB_GOLDENS``, else the
user's cache). Every file is checked by its digest when it is read. Refuses to
overwrite a golden unless asked to.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from safetensors import SafetensorError
from safetensors.numpy import load, save

from turbo_lab.cards import conf_dir
from turbo_lab.documents.golden import Thresholds
from turbo_lab.errors import InputError, StoreError, unknown_name
from turbo_lab.golden.document import (
    Golden,
    GoldenContent,
    golden_document,
    read_golden,
)
from turbo_lab.golden.stages import StageValue, Values, mark, stage_kind
from turbo_lab.identity import user_cache
from turbo_lab.images import encode_png
from turbo_lab.request.prompts import DATA
from turbo_lab.store import record as records
from turbo_lab.untrusted.paths import confined, read_regular, replace_file

IN_GIT_BYTES = 60 << 10
"""What one case may take in the repository, its sidecar included."""
_THRESHOLD_BYTES = 3_000  # what calibration adds to a sidecar that has none yet
_SIDECAR, _TENSORS, _IMAGE, _CASES = "golden.json", "tensors.safetensors", "image.png", "cases.json"
_FILES = (_SIDECAR, _TENSORS, _IMAGE)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class StoredTensors:
    """Tensors of a golden, stored next to its sidecar."""

    tensors: Mapping[str, Values]
    """Tensor by stage: float32, or uint8 (N, H, W, 3) for the pixels. Each matches its
    stage's hash."""


class GoldenLibrary:
    """Goldens of one folder."""

    def __init__(self, root: Path, content: Path | None = None) -> None:
        """``content``: where files too large for git lie, by digest."""
        self.root = root
        own = os.environ.get("TURBO_LAB_GOLDENS")
        self.content = content or (Path(own) if own else user_cache() / "goldens")

    def cases(self) -> dict[str, tuple[str, ...]]:
        """Name to overrides, in order. Raises :class:`StoreError` where it cannot be read."""
        path = confined(self.root, _CASES, str(self.root), StoreError)
        values = records.read_object(path)
        found = records.check_document(values, "golden-cases", str(path)).get("cases")
        if not isinstance(found, dict):
            raise StoreError(f'{path}: cases must be an object, as in {{"my-case": ["seed=1"]}}')
        for name, overrides in found.items():
            check_name(name)
            if not isinstance(overrides, list) or not all(isinstance(o, str) for o in overrides):
                raise StoreError(f'{path}: {name} must be a list of overrides, as in ["seed=1"]')
        return {name: tuple(overrides) for name, overrides in found.items()}

    def has_cases(self) -> bool:
        """Whether it says which cases there are."""
        return (self.root / _CASES).exists()

    def write_cases(self, cases: Mapping[str, tuple[str, ...]]) -> None:
        """Say which cases must have a golden."""
        self.root.mkdir(parents=True, exist_ok=True)
        values = records.document("golden-cases", {"cases": dict(cases)})
        replace_file(self.root / _CASES, records.dump(values).encode())

    def orphans(self) -> list[str]:
        """Goldens that no case names; what else lies in the folder is not ours."""
        known = self.cases()
        found = {path.parent.name for name in _FILES for path in self.root.glob(f"*/{name}")}
        return sorted(found - set(known))

    def has(self, name: str) -> bool:
        """Whether a golden was recorded under this name."""
        return (self._folder(name) / _SIDECAR).exists()

    def _folder(self, name: str) -> Path:
        """Return a golden's folder. Raises :class:`StoreError` for one outside the library."""
        return confined(self.root, name, f"golden in {self.root}", StoreError)

    def _file(self, name: str, file: str) -> Path:
        """Return a file of a golden, which no link leads out of the library."""
        return confined(self.root, f"{name}/{file}", f"golden in {self.root}", StoreError)

    def read(self, name: str) -> Golden:
        """One golden's sidecar. Raises :class:`StoreError` with what is wrong."""
        path = self._file(name, _SIDECAR)
        golden = read_golden(records.read_object(path), str(path))
        if golden.name != name:
            raise StoreError(f"{path}: is the golden of {golden.name!r}; rename its folder back")
        return golden

    def read_all(self) -> dict[str, Golden]:
        """Every recorded golden. Two of one cell are refused: which one would hold?"""
        found = {name: self.read(name) for name in self.cases() if self.has(name)}
        for name, other in self.twins().items():
            raise StoreError(twin_text(name, other))
        return found

    def twins(self) -> dict[str, str]:
        """Goldens of a cell that another golden is of, each with that other.

        One that cannot be read is left out: reading it raises the reason.
        """
        by_cell: dict[str, list[str]] = {}
        for name in self.cases():
            with suppress(StoreError):
                if self.has(name):
                    by_cell.setdefault(self.read(name).cell_id, []).append(name)
        return {
            name: next(other for other in names if other != name)
            for names in by_cell.values()
            if len(names) > 1
            for name in names
        }

    def material(self, golden: Golden) -> StoredTensors:
        """Tensors and pixels, each checked against its stage's hash."""
        folder = self._folder(golden.name)
        content = self._find(self._file(golden.name, _TENSORS), golden.tensors)
        try:
            tensors = dict(load(content))
        except SafetensorError as error:
            raise StoreError(f"{folder / _TENSORS}: cannot be read ({error})") from error
        strip = self._find(self._file(golden.name, _IMAGE), golden.image)
        with Image.open(io.BytesIO(strip)) as image:
            pixels = np.asarray(image.convert("RGB"))
        shape = next(m.shape for m in golden.stages if m.stage == "pixels")
        tensors["pixels"] = from_strip(pixels, shape[0])
        for known in golden.stages:
            if known.stage in tensors:
                value = StageValue(known.stage, known.dtype, tensors[known.stage])
                if mark(value).sha256 != known.sha256:
                    raise StoreError(
                        f"{folder}: the stored {known.stage} is not what its sidecar names; "
                        "restore the folder from version control"
                    )
        return StoredTensors(tensors)

    def write(
        self, content: GoldenContent, tensors: Mapping[str, Values], replace: bool = False
    ) -> Golden:
        """Write a golden with its files; return it with their digests.

        ``tensors``: by stage, in the order of their worth; float32 ones are kept as
        long as they fit into git together, noise and the first of the latents in any case.
        """
        folder = self._folder(content.name)
        if self.has(content.name) and not replace:
            raise InputError(
                f"golden {content.name}: is recorded already; `turbo-lab golden accept "
                f"{content.name} --reason ...` moves it"
            )
        strip = encode_png(to_strip(tensors["pixels"]), {}, compress_level=9)
        sidecar = len(records.dump(golden_document(Golden.of(content, "", ""))).encode())
        room = IN_GIT_BYTES - sidecar - (0 if content.thresholds else _THRESHOLD_BYTES)
        kept = _what_fits(tensors, room - len(strip))
        files = {_IMAGE: strip, _TENSORS: save(kept)}
        digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        golden = Golden.of(content, tensors=digests[_TENSORS], image=digests[_IMAGE])
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            small = len(data) <= room
            room -= len(data) if small else 0
            target = folder / name if small else self.content / digests[name]
            target.parent.mkdir(parents=True, exist_ok=True)
            replace_file(target, data)
            if not small:
                (folder / name).unlink(missing_ok=True)
        self.write_sidecar(golden)
        return golden

    def write_sidecar(self, golden: Golden) -> None:
        """The sidecar alone: its thresholds or what it accepts have changed."""
        text = records.dump(golden_document(golden))
        replace_file(self._folder(golden.name) / _SIDECAR, text.encode())

    def write_thresholds(self, thresholds: Thresholds, document: Mapping[str, Any]) -> None:
        """New thresholds for every golden, with the calibration they came from."""
        replace_file(self.root / "thresholds.json", records.dump(document).encode())
        for golden in self.read_all().values():
            self.write_sidecar(dataclasses.replace(golden, thresholds=thresholds))

    def remove(self, name: str) -> None:
        """Delete a golden's files, and its folder where nothing else is in it."""
        folder = self._folder(name)
        for file in _FILES:
            (folder / file).unlink(missing_ok=True)
        if not any(folder.iterdir()):
            folder.rmdir()

    def _find(self, path: Path, sha256: str) -> bytes:
        for place in (path, self.content / sha256):
            if place.exists():
                content = read_regular(place, follow_links=True, error=StoreError)
                if hashlib.sha256(content).hexdigest() != sha256:
                    raise StoreError(
                        f"{place}: is not the file its sidecar names (another digest); restore "
                        "it from version control"
                    )
                return content
        raise StoreError(
            f"{path}: is missing, and {self.content} does not hold {sha256[:12]}; restore it, or "
            "set TURBO_LAB_GOLDENS to the folder that does"
        )


def open_library() -> GoldenLibrary:
    """``goldens`` of the working directory where it has any, else the packaged ones.

    The pytest plugin's lie one folder deeper, and are not meant.
    """
    own = Path.cwd() / "goldens"
    has_any = (own / _CASES).exists() or any(own.glob(f"*/{_SIDECAR}"))
    return GoldenLibrary(own if has_any else packaged_root())


def open_libraries() -> tuple[GoldenLibrary, ...]:
    """Return the libraries that a gate counts: that of :func:`open_library`, then the packaged one.

    Goldens of one's own add to those that ship; they do not switch them off.
    """
    first, packaged = open_library(), GoldenLibrary(packaged_root())
    return (first,) if first.root == packaged.root else (first, packaged)


def homes_of(libraries: Sequence[GoldenLibrary]) -> dict[str, GoldenLibrary]:
    """Return each case's library, by the case's name; of two cases with one name the first."""
    found: dict[str, GoldenLibrary] = {}
    for library in libraries:
        found = {**dict.fromkeys(library.cases(), library), **found}
    return {name: found[name] for library in libraries for name in library.cases()}


def packaged_root() -> Path:
    """Where the goldens of the shipped models lie."""
    return DATA.parent / "goldens"


def standard_cases() -> dict[str, tuple[str, ...]]:
    """What ``golden record`` records where nothing else is asked for."""
    path = conf_dir() / "golden" / "standard.json"
    return {name: tuple(overrides) for name, overrides in records.read_object(path).items()}


def check_known(names: Sequence[str], known: Mapping[str, Any]) -> None:
    """Raises ``InputError`` for a name that no case has."""
    for name in names:
        if name not in known:
            raise unknown_name("golden", name, known)


def check_name(name: str) -> None:
    """Raises ``InputError`` for what cannot name a folder of its own."""
    if not _NAME.fullmatch(name):
        raise InputError(
            f"golden {name}: a case's name has letters, digits, dots, dashes and underscores, and "
            "begins with a letter or digit"
        )


def twin_text(name: str, other: str) -> str:
    """Why two goldens of one cell are refused: which one would hold?"""
    return (
        f"goldens {name} and {other} are of one case; delete one of the two folders and its line "
        "in cases.json"
    )


def to_strip(pixels: Values) -> Values:
    """(N, H, W, 3) to (H, N * W, 3)."""
    return np.concatenate(list(pixels), axis=1)


def from_strip(strip: Values, count: int) -> Values:
    """The inverse of :func:`to_strip`."""
    return np.stack(np.split(strip, count, axis=1))


def _what_fits(tensors: Mapping[str, Values], room: int) -> dict[str, Values]:
    """Noise and the latents that come first in any case; others as far as they fit."""
    kept: dict[str, Values] = {}
    latents = next((stage for stage in tensors if stage_kind(stage) == "latents"), None)
    for stage, values in tensors.items():
        needed = values.nbytes + 128  # a tensor's share of the file's header
        if values.dtype == np.float32 and (stage in ("noise", latents) or needed <= room):
            kept[stage] = np.ascontiguousarray(values)
            room -= needed
    return kept
