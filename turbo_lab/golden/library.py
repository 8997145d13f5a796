"""The folder of goldens: its list of cases, and the files of each golden.

Layout::

    cases.json                    name -> config overrides: every case that must have a golden
    thresholds.json               thresholds of these goldens, once they were calibrated
    <name>/golden.json            the golden itself
    <name>/tensors.safetensors    noise, latents and UNet outputs, as far as they fit
    <name>/image.png              the images next to each other

A case takes at most 60 KiB. Files that do not fit are kept by their sha256 in a content
store outside the repository (``$TURBO_LAB_GOLDENS``, else the user's cache). Every file is
checked against its digest when it is read. Refuses to overwrite a golden unless asked to.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from turbo_lab.cards import conf_dir
from turbo_lab.errors import MALFORMED, InputError, StoreError, unknown_name
from turbo_lab.golden.document import Golden, GoldenContent, golden_document, read_golden
from turbo_lab.golden.stages import StageValue, Values, mark, stage_kind
from turbo_lab.identity import user_cache
from turbo_lab.images import UNREADABLE, decode_png, encode_png
from turbo_lab.request.prompts import DATA
from turbo_lab.store import record as records
from turbo_lab.untrusted.paths import confined, read_regular, replace_file

IN_GIT_BYTES = 60 << 10
"""Largest size of one golden in the repository, in bytes, all its files together."""
_THRESHOLD_BYTES = 3_000  # calibration adds this much to a golden.json that has no thresholds yet
CASES_FILE = "cases.json"
"""Name of the list of cases."""
_DOCUMENT, _TENSORS, _IMAGE = "golden.json", "tensors.safetensors", "image.png"
_PIXELS = "pixels"
_FILES = (_DOCUMENT, _TENSORS, _IMAGE)
# ``${...}`` of OmegaConf, unless an odd number of backslashes is in front.
_INTERPOLATION = re.compile(r"(?<!\\)(?:\\\\)*\$\{")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def cases_document(cases: Mapping[str, tuple[str, ...]]) -> str:
    """Return the text of a list of cases: the words of each, by name."""
    return records.dump(records.document("golden-cases", {"cases": dict(cases)}))


@dataclass(frozen=True)
class StoredTensors:
    """Tensors that a golden keeps, each checked against the hash of its stage."""

    tensors: Mapping[str, Values]
    """Tensor by stage, float32 or the stage's own type."""

    @property
    def pixels(self) -> Values:
        """Images, (N, H, W, 3) uint8 in [0, 255], RGB."""
        return self.tensors[_PIXELS]


class GoldenLibrary:
    """Goldens of one folder."""

    def __init__(self, root: Path, content: Path | None = None) -> None:
        """Open a folder, which need not exist yet.

        ``content``: folder of the files that are too large for git, by digest.
        """
        self.root = root
        own = os.environ.get("TURBO_LAB_GOLDENS")
        self.content = content or (Path(own) if own else user_cache() / "goldens")

    def cases(self) -> dict[str, tuple[str, ...]]:
        """Return the overrides of each case, in order. Raises :class:`StoreError`."""
        path = confined(self.root, CASES_FILE, str(self.root), StoreError)
        values = records.read_object(path)
        cases = records.check_document(values, "golden-cases", str(path)).get("cases")
        if not isinstance(cases, dict):
            raise StoreError(f'{path}: cases must be an object, as in {{"my-case": ["seed=1"]}}')
        for name, overrides in cases.items():
            check_name(name)
            if not isinstance(overrides, list) or not all(isinstance(o, str) for o in overrides):
                raise StoreError(f'{path}: {name} must be a list of overrides, as in ["seed=1"]')
            if read := [one for one in overrides if _INTERPOLATION.search(one)]:
                raise StoreError(
                    f"{path}: {name}: {read[0][:80]!a} reads a value from elsewhere, such as an "
                    "environment variable; write the value itself"
                )
        return {name: tuple(overrides) for name, overrides in cases.items()}

    def has_cases(self) -> bool:
        """Return whether the folder lists its cases."""
        return (self.root / CASES_FILE).exists()

    def cases_if_any(self) -> dict[str, tuple[str, ...]]:
        """Return the overrides of each case; none for a folder that lists no cases."""
        return self.cases() if self.has_cases() else {}

    def write_cases(self, cases: Mapping[str, tuple[str, ...]]) -> None:
        """Replace the list of cases that must have a golden."""
        self.root.mkdir(parents=True, exist_ok=True)
        replace_file(self.root / CASES_FILE, cases_document(cases).encode())

    def orphans(self) -> list[str]:
        """Return the goldens that no case names; other files in the folder are ignored."""
        known = self.cases()
        names = {path.parent.name for file in _FILES for path in self.root.glob(f"*/{file}")}
        return sorted(names - set(known))

    def has(self, name: str) -> bool:
        """Return whether a golden was recorded under this name."""
        return (self._folder(name) / _DOCUMENT).exists()

    def _folder(self, name: str) -> Path:
        """Return a golden's folder. Raises :class:`StoreError` for one outside the library."""
        return confined(self.root, name, f"golden in {self.root}", StoreError)

    def _file(self, name: str, file: str) -> Path:
        """Return a file of a golden. Raises :class:`StoreError` if a link leads it outside."""
        return confined(self.root, f"{name}/{file}", f"golden in {self.root}", StoreError)

    def read(self, name: str) -> Golden:
        """Read one golden. Raises :class:`StoreError` if it is missing, damaged or edited."""
        path = self._file(name, _DOCUMENT)
        golden = read_golden(records.read_object(path), str(path))
        if golden.name != name:
            raise StoreError(f"{path}: is the golden of {golden.name!r}; rename its folder back")
        return golden

    def read_if_any(self, name: str) -> Golden | None:
        """Read one golden; ``None`` if none was recorded under this name."""
        return self.read(name) if self.has(name) else None

    def read_all(self) -> dict[str, Golden]:
        """Read every golden. Raises :class:`StoreError` if two of them have the same cell."""
        goldens = {name: self.read(name) for name in self.cases() if self.has(name)}
        for name, other in self.duplicates().items():
            raise StoreError(duplicate_message(name, other))
        return goldens

    def duplicates(self) -> dict[str, str]:
        """Return each golden whose cell another golden has too, with that other one.

        A golden that cannot be read is left out: reading it raises the reason.
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

    def stored_tensors(self, golden: Golden) -> StoredTensors:
        """Read the tensors and images of a golden; each is checked against its stage's hash."""
        folder = self._folder(golden.name)
        content = self._find(self._file(golden.name, _TENSORS), golden.tensors)
        try:
            tensors = dict(load(content))
        except (SafetensorError, *MALFORMED) as error:
            raise StoreError(f"{folder / _TENSORS}: cannot be read ({error})") from error
        strip = self._find(self._file(golden.name, _IMAGE), golden.image)
        try:
            count = next((m.shape[0] for m in golden.stages if m.stage == _PIXELS), 0)
            tensors[_PIXELS] = from_strip(decode_png(strip), count)
        except (*UNREADABLE, *MALFORMED) as error:
            raise StoreError(f"{folder / _IMAGE}: cannot be read ({error})") from error
        for known in golden.stages:
            if known.stage in tensors:
                value = StageValue(known.stage, known.dtype, tensors[known.stage])
                if value.values.shape != known.shape or mark(value).sha256 != known.sha256:
                    raise StoreError(
                        f"{folder}: the stored {known.stage} does not match {_DOCUMENT}; "
                        "restore the folder from version control"
                    )
        return StoredTensors(tensors)

    def write(
        self, content: GoldenContent, tensors: Mapping[str, Values], replace: bool = False
    ) -> Golden:
        """Write a golden with its files; return it with their digests.

        ``tensors``: by stage, the most useful first. Those of float32 are kept as long as
        they fit into git together; noise and the first of the latents always are.
        """
        folder = self._folder(content.name)
        if self.has(content.name) and not replace:
            raise InputError(
                f"golden {content.name}: exists already; to replace it, run "
                f"turbo-lab golden accept {content.name} --reason TEXT"
            )
        bare = Golden.with_files(content, tensors="", image="")
        room = IN_GIT_BYTES - len(records.dump(golden_document(bare)).encode())
        room -= 0 if content.thresholds else _THRESHOLD_BYTES
        strip = encode_png(to_strip(tensors[_PIXELS]), {}, compress_level=9)
        files = {_IMAGE: strip, _TENSORS: save(_tensors_that_fit(tensors, room - len(strip)))}
        digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            is_small = len(data) <= room
            room -= len(data) if is_small else 0
            target = folder / name if is_small else self.content / digests[name]
            target.parent.mkdir(parents=True, exist_ok=True)
            replace_file(target, data)
            if not is_small:
                (folder / name).unlink(missing_ok=True)
        golden = Golden.with_files(content, tensors=digests[_TENSORS], image=digests[_IMAGE])
        self.write_document(golden)
        return golden

    def write_document(self, golden: Golden) -> None:
        """Write ``golden.json`` alone: its thresholds or accepted outcomes have changed."""
        text = records.dump(golden_document(golden))
        replace_file(self._folder(golden.name) / _DOCUMENT, text.encode())

    def remove(self, name: str) -> None:
        """Delete a golden's files, and its folder unless other files are in it."""
        folder = self._folder(name)
        for file in _FILES:
            (folder / file).unlink(missing_ok=True)
        if not any(folder.iterdir()):
            folder.rmdir()

    def _find(self, path: Path, sha256: str) -> bytes:
        """Return a file's content, from the golden's folder or from the content store."""
        for place in (path, self.content / sha256):
            if place.exists():
                content = read_regular(place, follow_links=True, error=StoreError)
                if hashlib.sha256(content).hexdigest() != sha256:
                    raise StoreError(
                        f"{place}: its digest is not the one in {_DOCUMENT}; restore it from "
                        "version control"
                    )
                return content
        raise StoreError(
            f"{path}: does not exist, and {self.content} does not hold {sha256[:12]}; restore it, "
            "or set TURBO_LAB_GOLDENS to the folder that holds it"
        )


def open_library() -> GoldenLibrary:
    """Open ``goldens`` in the working directory if it has any, else the packaged goldens.

    Goldens of the pytest plugin are one folder deeper and do not count.
    """
    own = Path.cwd() / "goldens"
    has_any = (own / CASES_FILE).exists() or any(own.glob(f"*/{_DOCUMENT}"))
    return GoldenLibrary(own if has_any else packaged_root())


def open_libraries() -> tuple[GoldenLibrary, ...]:
    """Open the libraries that a gate uses: that of :func:`open_library`, then the packaged one.

    A user's own goldens add to those that ship; they do not replace them.
    """
    first, packaged = open_library(), GoldenLibrary(packaged_root())
    return (first,) if first.root == packaged.root else (first, packaged)


def packaged_cases_hidden_by(library: GoldenLibrary) -> list[str]:
    """Return the packaged cases that are not checked where ``library`` is; none if it is theirs."""
    packaged = GoldenLibrary(packaged_root())
    return [] if library.root == packaged.root else list(packaged.cases())


def library_by_case(libraries: Sequence[GoldenLibrary]) -> dict[str, GoldenLibrary]:
    """Return the library of each case, by name; the first one, if two have a case of that name."""
    by_case: dict[str, GoldenLibrary] = {}
    for library in libraries:
        for name in library.cases():
            by_case.setdefault(name, library)
    return by_case


def open_own_library() -> GoldenLibrary:
    """Open ``goldens`` in the working directory for writing, whether it exists or not.

    In a checkout of turbo-lab, the packaged goldens are its own.
    """
    if (Path.cwd() / "turbo_lab" / "data").is_dir():
        return GoldenLibrary(packaged_root())
    return GoldenLibrary(Path.cwd() / "goldens")


def packaged_root() -> Path:
    """Return the folder of the goldens of the shipped models."""
    return DATA.parent / "goldens"


def standard_cases() -> dict[str, tuple[str, ...]]:
    """Return the cases that ``golden record`` records by default."""
    path = conf_dir() / "golden" / "standard.json"
    return {name: tuple(overrides) for name, overrides in records.read_object(path).items()}


def check_known(names: Sequence[str], known: Collection[str]) -> None:
    """Raise ``InputError`` for a name that is not the name of a case."""
    for name in names:
        if name not in known:
            raise unknown_name("golden", name, known)


def check_name(name: str) -> None:
    """Raise ``InputError`` for a name that cannot be the name of a folder."""
    if not _NAME.fullmatch(name):
        raise InputError(
            f"golden {name}: must consist of letters, digits, dots, dashes and underscores, and "
            "start with a letter or digit"
        )


def duplicate_message(name: str, other: str) -> str:
    """Return the message that refuses two goldens of one cell."""
    return (
        f"goldens {name} and {other} are of the same case; delete one of the two folders and its "
        "line in cases.json"
    )


def to_strip(pixels: Values) -> Values:
    """Put images next to each other: (N, H, W, 3) to (H, N * W, 3)."""
    return np.concatenate(list(pixels), axis=1)


def from_strip(strip: Values, count: int) -> Values:
    """Split a strip into ``count`` images: the inverse of :func:`to_strip`."""
    return np.stack(np.split(strip, count, axis=1))


def _tensors_that_fit(tensors: Mapping[str, Values], room: int) -> dict[str, Values]:
    """Return noise, the latents that come first, and others until ``room`` bytes are used up."""
    kept: dict[str, Values] = {}
    latents = next((stage for stage in tensors if stage_kind(stage) == "latents"), None)
    for stage, values in tensors.items():
        needed = values.nbytes + 128  # a tensor's share of the file's header
        if values.dtype == np.float32 and (stage in ("noise", latents) or needed <= room):
            kept[stage] = np.ascontiguousarray(values)
            room -= needed
    return kept
