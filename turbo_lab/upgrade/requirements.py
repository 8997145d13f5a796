"""The packages that a command line asks for: versions, wheels, folders, git addresses, ranges.

Owns how a word becomes a requirement, and what tells it from ``KEY=VALUE``. Asks no index.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

from turbo_lab.errors import InputError
from turbo_lab.untrusted.paths import user_path
from turbo_lab.untrusted.redaction import redact

_KEY = re.compile(r"[A-Za-z_][\w.]*=(?!=)")
_RANGE = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*)==(?P<low>[^.,].*?)\.\.(?P<high>[^.].*)")
_ARCHIVES = (".whl", ".tar.gz", ".zip")
_FORMS = "write a requirement such as diffusers==0.43.0, a wheel, a folder or git+https://..."


@dataclass(frozen=True)
class Wanted:
    """One package of the candidate, as the user asked for it."""

    text: str
    """Requirement in the words of the installer; paths are absolute."""
    name: str | None
    """Normalised name of the package. ``None``: the folder or address says it when it is read."""
    path: Path | None = None
    """Wheel, archive or folder to install from. ``None``: it is on an index or in git."""

    @property
    def is_direct(self) -> bool:
        """``True`` if it names its source, not a version on an index."""
        return self.path is not None or "://" in self.text

    @property
    def is_pinned(self) -> bool:
        """``True`` if it names exactly one version or its source."""
        if self.is_direct:
            return True
        return any(
            one.operator in ("==", "===") and not one.version.endswith(".*")
            for one in Requirement(self.text).specifier
        )

    @property
    def shown(self) -> str:
        """Text for people: no user or password of an address, no folder of a path."""
        return redact(self.text) if self.path is None else self.path.name


@dataclass(frozen=True)
class VersionRange:
    """Releases of one package, both ends included."""

    name: str
    """Normalised name of the package."""
    low: Version
    """First version."""
    high: Version
    """Last version."""

    def __str__(self) -> str:
        """Return the words of the command line."""
        return f"{self.name}=={self.low}..{self.high}"


def split_words(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split words into requirements and ``KEY=VALUE``; a path that exists is a requirement."""
    keys = [word for word in words if _KEY.match(word) and not Path(word).exists()]
    return [word for word in words if word not in keys], keys


def parse_requirement(word: str) -> Wanted:
    """Return the package that a word asks for. Raises ``InputError``.

    turbo-lab itself is refused: both environments run the installed one.
    """
    looks_like_path = word.endswith(_ARCHIVES) or word.startswith(("/", "./", "../", "~"))
    if "://" not in word and (looks_like_path or Path(word).is_dir()):
        return _refuse_own(_from_path(word))
    if "://" in word and " @ " not in word:
        return Wanted(word, None)
    try:
        requirement = Requirement(word)
    except InvalidRequirement as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{redact(word)}: not a requirement ({reason}); {_FORMS}") from error
    return _refuse_own(Wanted(word, canonicalize_name(requirement.name)))


def _from_path(word: str) -> Wanted:
    path = user_path(word).absolute()
    if not path.exists():
        raise InputError(f"{word}: does not exist; {_FORMS}")
    if path.is_dir():
        if not any((path / name).exists() for name in ("pyproject.toml", "setup.py")):
            raise InputError(
                f"{word}: has no pyproject.toml or setup.py; name the folder of a Python project"
            )
        return Wanted(str(path), None, path)
    try:
        if path.suffix == ".whl":
            name = parse_wheel_filename(path.name)[0]
        else:
            name = parse_sdist_filename(path.name)[0]
    except (InvalidWheelFilename, InvalidSdistFilename) as error:
        raise InputError(f"{word}: not a wheel or source archive ({error}); {_FORMS}") from error
    return Wanted(str(path), name, path)


def _refuse_own(wanted: Wanted) -> Wanted:
    if wanted.name == "turbo-lab":
        raise InputError(
            f"{wanted.shown}: turbo-lab cannot be its own candidate, because both environments "
            "run the installed one; name another package"
        )
    return wanted


def parse_range(word: str) -> VersionRange:
    """Return the range of releases that a word names. Raises ``InputError``."""
    found = _RANGE.fullmatch(word)
    if found is None:
        raise InputError(
            f"{word}: not a range of versions; write the first and the last one, as in "
            "diffusers==0.38.0..0.42.1"
        )
    try:
        low, high = Version(found["low"]), Version(found["high"])
    except InvalidVersion as error:
        raise InputError(f"{word}: {str(error)[0].lower()}{str(error)[1:]}") from error
    if low >= high:
        raise InputError(f"{word}: the first version must be older than the last one")
    return VersionRange(canonicalize_name(found["name"]), low, high)
