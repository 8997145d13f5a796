"""Entries of a bisection, in order: releases of a package, or commits of a checkout.

Owns the list and how one entry becomes a requirement.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import Version

from turbo_lab.errors import InputError
from turbo_lab.identity import user_cache
from turbo_lab.progress import waiting
from turbo_lab.upgrade.installer import Installer
from turbo_lab.upgrade.requirements import VersionRange, Wanted, parse_requirement

_COMMITS = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*?)==(?P<low>.+?)\.\.(?P<high>[^.].*)")


@dataclass(frozen=True)
class Subject:
    """One entry of a bisection."""

    name: str
    """Normalised name of the package."""
    label: str
    """Version, or the first digits of a commit."""
    title: str = ""
    """First line of a commit's message; empty for a release."""
    checkout: Path | None = None
    """Git checkout of a commit. ``None``: a release."""

    def wanted(self) -> Wanted:
        """Return the requirement of this entry; exports the files of a commit."""
        if self.checkout is None:
            return parse_requirement(f"{self.name}=={self.label}")
        path = user_cache() / "commits" / f"{self.name}-{self.label}"
        if not path.exists():
            _export(self.checkout, self.label, path)
        return Wanted(str(path), self.name, path)


def releases(span: VersionRange, installer: Installer, pre: bool) -> list[Subject]:
    """Return the releases of a range, the oldest first.

    Raises ``InputError`` unless both ends are releases.
    """
    with waiting(f"listing the releases of {span.name}"):
        found = installer.releases(span, pre)
    for end in (span.low, span.high):
        if end not in found:
            raise InputError(f"{span}: there is no release {end} for this Python{_nearest(found)}")
    return [Subject(span.name, str(version)) for version in found]


def _nearest(found: Sequence[Version]) -> str:
    if not found:
        return ", and none in between"
    shown = f"{found[0]} to {found[-1]}" if len(found) > 1 else str(found[0])
    return f"; in the range {'are' if len(found) > 1 else 'is'} {shown}"


def commits(word: str, checkout: Path) -> list[Subject]:
    """Return the commits of a checkout between two, ends included, the oldest first.

    An end is a commit, a tag or a version whose tag has the usual form. Only first parents
    are followed, so that each entry is a state that the main branch had. Raises ``InputError``.
    """
    found = _COMMITS.fullmatch(word)
    if found is None:
        raise InputError(
            f"{word}: not a range of commits; write the first and the last one, as in "
            "diffusers==v0.41.0..main"
        )
    if not checkout.is_dir():
        raise InputError(
            f"--by-commit={checkout}: does not exist; name the folder of a git checkout"
        )
    low, high = (_commit(checkout, found[end]) for end in ("low", "high"))
    if _run_git(checkout, "merge-base", "--is-ancestor", low, high).returncode != 0 or low == high:
        raise InputError(f"{word}: the first commit is not an ancestor of the last one")
    lines = _git(checkout, "log", "--reverse", "--first-parent", "--format=%H %s", f"{low}..{high}")
    rows = [line.partition(" ") for line in lines.splitlines()]
    title = _git(checkout, "log", "-1", "--format=%s", low).strip()
    name = canonicalize_name(found["name"])
    return [
        Subject(name, sha[:12], text, checkout)
        for sha, text in [(low, title), *((sha, text) for sha, _, text in rows)]
    ]


def _commit(checkout: Path, end: str) -> str:
    for name in (end, f"v{end}"):
        done = _run_git(checkout, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
        if done.returncode == 0:
            return done.stdout.strip()
    raise InputError(f"{end}: neither a commit nor a tag in {checkout}; fetch it, or name another")


def _export(checkout: Path, commit: str, path: Path) -> None:
    """Write the files of a commit into a folder, which gets its name when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f"{path.name}-") as folder:
        archive, aside = Path(folder) / "files.tar", Path(folder) / "files"
        _git(checkout, "archive", "--output", str(archive), commit)
        with tarfile.open(archive) as files:
            files.extractall(aside, filter="data")
        with suppress(OSError):  # another process was first
            aside.rename(path)


def _git(checkout: Path, *words: str) -> str:
    done = _run_git(checkout, *words)
    if done.returncode != 0:
        raise InputError(f"{checkout}: git failed ({done.stderr.strip().splitlines()[-1]})")
    return done.stdout


def _run_git(checkout: Path, *words: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("git") is None:
        raise InputError("--by-commit: needs git; install it")
    return subprocess.run(
        ["git", "-C", str(checkout), *words], capture_output=True, text=True, check=False
    )
