"""Environments of candidates: made once per resolved set, and reused.

An environment is a virtual environment of this Python that holds what differs, on top of the
packages of this environment: torch and its CUDA libraries are neither downloaded nor copied
unless they change. Owns the folders and their reuse. An environment is built under another name
and renamed when it is complete, so a half-made one is never used.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import site
import sys
import sysconfig
import time
import venv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from turbo_lab.errors import InputError
from turbo_lab.identity import digest, hash_file, user_cache
from turbo_lab.progress import waiting
from turbo_lab.untrusted.paths import write_whole
from turbo_lab.upgrade.installer import Installer, MachineError, Resolved
from turbo_lab.upgrade.requirements import Wanted

_COMPLETE = "turbo-lab-environment.json"
_BASE = "zz_turbo_lab_base.pth"  # read after the .pth files of the candidate's own packages

OWN_FOLDER = Path(__file__).resolve().parents[2]
"""Folder that turbo-lab itself is imported from."""


@dataclass(frozen=True)
class Environment:
    """An environment that is complete."""

    root: Path
    """Folder of the virtual environment."""
    packages: tuple[Resolved, ...]
    """Packages that it holds itself; every other one is that of this environment."""
    made_s: float | None
    """Time that making it took, in seconds; ``None``: it was there."""

    @property
    def python(self) -> Path:
        """The interpreter."""
        return self.root / "bin" / "python"


@dataclass(frozen=True)
class Candidate:
    """Requirements and what they resolve to, before anything is installed."""

    wanted: tuple[Wanted, ...]
    """Packages that were asked for."""
    packages: tuple[Resolved, ...]
    """Packages that differ from those of this environment."""


def installed_versions() -> dict[str, str]:
    """Return the version of every package of this environment, by normalised name."""
    found: dict[str, str] = {}
    for one in metadata.distributions():
        name = one.metadata["Name"]
        if name:  # a folder that an interrupted uninstall left has none
            found.setdefault(canonicalize_name(name), one.version)
    return dict(sorted(found.items()))


def needed_packages() -> list[str]:
    """Return the installed packages that turbo-lab or one of its extras needs, by name."""
    installed = installed_versions()
    names = [canonicalize_name(Requirement(text).name) for text in _own_requirements()]
    return sorted({name for name in names if name in installed})


def _own_requirements() -> list[str]:
    try:
        return metadata.requires("turbo-lab") or []
    except metadata.PackageNotFoundError:  # run from a folder that is on the path
        return []


def resolve_candidate(wanted: Sequence[Wanted], installer: Installer, pre: bool) -> Candidate:
    """Ask the index what differs. Raises ``InputError`` if there is no solution."""
    asked = {one.name for one in wanted}
    kept = [name for name in needed_packages() if name not in asked]
    with waiting("resolving the candidate's packages"):
        found = installer.resolve(wanted, kept, pre)
    if "turbo-lab" in (one.name for one in found):
        raise InputError("upgrade: turbo-lab cannot be its own candidate; name another package")
    return Candidate(tuple(wanted), tuple(sorted(found, key=lambda one: one.name)))


def make_environment(candidate: Candidate, installer: Installer) -> Environment:
    """Return the candidate's environment; make it if it is not in the cache.

    Raises :class:`JudgementError` if it cannot be made; nothing of it is left then.
    """
    parts = _identity(candidate)
    root = user_cache() / "environments" / digest(parts)[:20]
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        with _alone(root.with_suffix(".lock")):
            if _is_complete(root, parts):
                return Environment(root, _with_versions(root, candidate), made_s=None)
            began = time.perf_counter()
            with waiting(f"installing {len(candidate.packages)} packages"):
                _build(root, candidate, installer, parts)
    except OSError as error:
        raise MachineError(
            f"upgrade: the environment in {root.parent} could not be made ({error.strerror}); set "
            "TURBO_LAB_CACHE to a folder on a disk with space"
        ) from error
    return Environment(root, _with_versions(root, candidate), time.perf_counter() - began)


def _with_versions(root: Path, candidate: Candidate) -> tuple[Resolved, ...]:
    """Return the candidate's packages, those from a folder or address with their versions."""
    found: dict[str, str] = {
        canonicalize_name(one.metadata["Name"]): one.version
        for one in metadata.distributions(path=[str(_site_packages(root))])
    }
    return tuple(
        replace(one, version=found[one.name]) if one.version is None else one
        for one in candidate.packages
    )


def _identity(candidate: Candidate) -> Mapping[str, object]:
    """Return everything that decides what an environment contains."""
    base = {name: version for name, version in installed_versions().items() if name != "turbo-lab"}
    return {
        "python": [sys.version, sys.executable],
        "base": [list(map(str, base_paths())), base],
        "packages": [[one.name, one.version, one.source] for one in candidate.packages],
        "contents": [_content(one) for one in candidate.wanted if one.path is not None],
    }


def _content(wanted: Wanted) -> str:
    """Return the digest of a wheel, or of a folder's files as far as they can be installed."""
    assert wanted.path is not None
    if wanted.path.is_file():
        return hash_file(wanted.path)
    skipped = {".git", "__pycache__", ".venv", "build", ".mypy_cache", ".ruff_cache"}
    digests = {}
    for folder, names, files in os.walk(wanted.path):
        names[:] = sorted(set(names) - skipped)
        for name in files:
            path = Path(folder, name)
            if path.is_file():
                digests[path.relative_to(wanted.path).as_posix()] = hash_file(path)
    return digest(digests)


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Wait until no other process makes this environment."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _is_complete(root: Path, parts: Mapping[str, object]) -> bool:
    marker = root / _COMPLETE
    if not marker.is_file():
        return False
    try:
        return bool(json.loads(marker.read_text(encoding="utf-8")) == json.loads(json.dumps(parts)))
    except ValueError:
        return False


def _build(
    root: Path, candidate: Candidate, installer: Installer, parts: Mapping[str, object]
) -> None:
    """Make an environment under another name, then rename it."""
    aside = root.with_suffix(".making")
    for left in (aside, root):  # of a process that was killed, or damaged
        shutil.rmtree(left, ignore_errors=True)
    try:
        venv.EnvBuilder(symlinks=True, with_pip=False).create(aside)
        site_packages = _site_packages(aside)
        installer.install(site_packages, _exact(candidate))
        (site_packages / _BASE).write_text(_base_lines(), encoding="utf-8")
        write_whole(aside / _COMPLETE, json.dumps(parts).encode())
        aside.rename(root)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _site_packages(root: Path) -> Path:
    return Path(sysconfig.get_path("purelib", "venv", {"base": str(root), "platbase": str(root)}))


def _exact(candidate: Candidate) -> list[str]:
    """Return the requirements to install: exact versions, and sources as they were resolved."""
    paths = {one.name: one.text for one in candidate.wanted if one.path is not None and one.name}
    found = []
    for one in candidate.packages:
        if one.name in paths:
            found.append(paths[one.name])
        elif one.source is not None:
            found.append(f"{one.name} @ {one.source}")
        else:
            found.append(f"{one.name}=={one.version}")
    return found


def base_paths() -> list[Path]:
    """Return the folders that this environment imports packages from, turbo-lab's own included."""
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    named = [*filter(None, given), *_site_folders(), str(OWN_FOLDER)]
    return list(dict.fromkeys(Path(path) for path in named if Path(path).is_dir()))


def _site_folders() -> list[str]:
    return [
        *site.getsitepackages(),
        *([site.getusersitepackages()] if site.ENABLE_USER_SITE else []),
    ]


def _base_lines() -> str:
    """Return the lines of a ``.pth`` file that add the packages of this environment.

    Editable installs work through the ``.pth`` files of the site folders.
    """
    folders = set(_site_folders())
    lines = [
        f"import site; site.addsitedir({str(path)!r})" if str(path) in folders else str(path)
        for path in base_paths()
    ]
    return "\n".join(lines) + "\n"
