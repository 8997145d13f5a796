"""pip and uv: what a requirement resolves to, which releases exist, and installing them.

Owns the command lines and the reading of their output. The index, the proxies and the cache
settings are the user's own, and no address of them is ever shown.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from turbo_lab.errors import InputError, JudgementError
from turbo_lab.upgrade.requirements import VersionRange, Wanted

_NO_NETWORK = re.compile(
    r"name resolution|dns error|connection (refused|reset|error)|connect error|"
    r"failed to establish a new connection|network is unreachable|error sending request|"
    r"timed out|proxyerror|cannot connect to proxy",
    re.IGNORECASE,
)
_DISK_FULL = re.compile(
    r"no space left|os error 28|errno 28|disk quota|file too large|os error 27|errno 27",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"\b[a-z][a-z0-9+.-]*://\S+|host='[^']*'", re.IGNORECASE)
# pip's lines, those of a new uv, and the cross and the arrow of an older one.
_REASON = re.compile(
    "^\\s*(?:ERROR:|error:|cause:|\u00d7|\u2570\u2500\u25b6|And because|hint:)\\s*"
)
_LISTED = re.compile(r"\(from versions: ([^)]*)\)")
_NEWEST_SHOWN = 3  # of a list of versions, which pip writes oldest first
# uv writes NAME==VERSION, NAME==VERSION (from ADDRESS) or NAME @ ADDRESS.
_CHANGED = re.compile(
    r"^\s*[+~]\s*(?P<name>[^\s=]+)(?:==(?P<version>\S+))?(?: \(from (?P<of>.*)\)| @ (?P<url>.*))?$"
)
_MOST = 300  # characters of one line of a reason
_OFFLINE = {"pip": ("PIP_NO_INDEX",), "uv": ("UV_OFFLINE", "UV_NO_INDEX")}


class MachineError(JudgementError):
    """A disk or a network that does not serve: the next version would fail in the same way."""


@dataclass(frozen=True)
class Resolved:
    """One package that the candidate has and this environment does not."""

    name: str
    """Normalised name."""
    version: str | None
    """Version. ``None``: the source says it when it is installed."""
    source: str | None = None
    """Address with its commit, or path. ``None``: it is on an index."""


class Installer(Protocol):
    """A program that resolves and installs packages."""

    name: str
    """``pip`` or ``uv``."""

    def resolve(
        self, wanted: Sequence[Wanted], kept: Sequence[str], pre: bool
    ) -> tuple[Resolved, ...]:
        """Return the packages that differ from those of this environment.

        ``kept``: names of installed packages that must go on working; their versions change only
        if a requirement needs it. Raises ``InputError`` if there is no solution.
        """

    def install(self, target: Path, requirements: Sequence[str]) -> None:
        """Install requirements, and nothing that they need, into a folder."""

    def releases(self, span: VersionRange, pre: bool) -> list[Version]:
        """Return the releases of a range for this Python, the oldest first."""


def find_installer(name: str = "auto") -> Installer:
    """Return ``uv``, ``pip``, or the one that is there: uv first. Raises ``InputError``."""
    uv = uv_command()
    if name == "uv" or (name == "auto" and uv is not None):
        if uv is None:
            raise InputError("installer=uv: not found; install it, or use --installer pip")
        return Uv(uv)
    if importlib.util.find_spec("pip") is None:
        raise InputError(
            "upgrade: needs uv, or pip in this environment; run python -m ensurepip, or install uv"
        )
    return Pip()


def uv_command() -> tuple[str, ...] | None:
    """Return the words that start uv; ``None``: it is neither on PATH nor in this environment."""
    if found := shutil.which("uv"):
        return (found,)
    return (sys.executable, "-m", "uv") if importlib.util.find_spec("uv") else None


class Pip:
    """pip of this environment."""

    name = "pip"

    def resolve(
        self, wanted: Sequence[Wanted], kept: Sequence[str], pre: bool
    ) -> tuple[Resolved, ...]:
        """Resolve as :class:`Installer` says."""
        # pip keeps an installed version that satisfies a requirement, so look up the newest first.
        newest = [self._newest(one, pre) for one in wanted if one.is_direct or not one.is_pinned]
        pins = [f"{one.name}=={one.version}" for one in newest if one.source is None]
        direct = {one.name: one for one in newest if one.source is not None}
        texts = [*(one.text for one in wanted if one.is_direct or one.is_pinned), *pins]
        found = {one.name: one for one in self._report([*texts, *kept], pre)}
        return tuple((found | direct).values())

    def _newest(self, wanted: Wanted, pre: bool) -> Resolved:
        found = self._report(["--no-deps", "--ignore-installed", wanted.text], pre)
        return found[0]

    def _report(self, words: Sequence[str], pre: bool) -> list[Resolved]:
        with tempfile.TemporaryDirectory(prefix="turbo-lab-upgrade-") as folder:
            file = Path(folder) / "report.json"
            options = ["--dry-run", "--quiet", "--report", str(file), *(["--pre"] if pre else [])]
            _run([*self._command, "install", *options, *words], "resolved")
            rows = json.loads(file.read_text(encoding="utf-8"))["install"]
        return [_reported(row) for row in rows]

    def install(self, target: Path, requirements: Sequence[str]) -> None:
        """Install as :class:`Installer` says."""
        if requirements:
            words = ["--quiet", "--no-deps", "--target", str(target), *requirements]
            _run([*self._command, "install", *words], "installed")

    def releases(self, span: VersionRange, pre: bool) -> list[Version]:
        """Ask the index as :class:`Installer` says."""
        words = ["index", "versions", span.name, *(["--pre"] if pre else [])]
        text = _run([*self._command, *words], "listed")
        listed = re.search(r"^Available versions: (.*)$", text, re.MULTILINE)
        return sorted(
            version
            for version in map(_version, listed[1].split(", ") if listed else ())
            if version is not None and span.low <= version <= span.high
        )

    @property
    def _command(self) -> list[str]:
        return [sys.executable, "-m", "pip", "--no-input", "--disable-pip-version-check"]


class Uv:
    """uv, for the Python of this environment."""

    name = "uv"

    def __init__(self, command: Sequence[str]) -> None:
        self._command = [*command, "--no-progress", "--color", "never"]

    def resolve(
        self, wanted: Sequence[Wanted], kept: Sequence[str], pre: bool
    ) -> tuple[Resolved, ...]:
        """Resolve as :class:`Installer` says."""
        words = ["--dry-run", *self._python, *(["--prerelease", "allow"] if pre else [])]
        for one in wanted:
            if one.name is not None:
                words += [f"--{'reinstall' if one.is_direct else 'upgrade'}-package", one.name]
        texts = [one.text for one in wanted]
        output = _run([*self._command, "pip", "install", *words, *texts, *kept], "resolved")
        return tuple(
            Resolved(
                canonicalize_name(found["name"]), found["version"], found["of"] or found["url"]
            )
            for found in map(_CHANGED.match, output.splitlines())
            if found
        )

    def install(self, target: Path, requirements: Sequence[str]) -> None:
        """Install as :class:`Installer` says."""
        if requirements:
            words = ["--no-deps", "--target", str(target), *self._python, *requirements]
            _run([*self._command, "pip", "install", *words], "installed")

    def releases(self, span: VersionRange, pre: bool) -> list[Version]:
        """Ask for the newest below the last one found, as uv lists no versions."""
        found: list[Version] = []
        upper = f"<={span.high}"
        while (newest := self._newest(f"{span.name}>={span.low},{upper}", pre)) is not None:
            found.insert(0, newest)
            if newest == span.low:
                break
            upper = f"<{newest}"
        return found

    def _newest(self, requirement: str, pre: bool) -> Version | None:
        words = ["--no-deps", "--no-header", "--no-annotate", "--quiet", *self._python[:2]]
        words += ["--prerelease", "allow"] if pre else []
        try:
            text = _run([*self._command, "pip", "compile", *words, "-"], "listed", requirement)
        except InputError:
            return None
        return _version(text.strip().partition("==")[2])

    @property
    def _python(self) -> list[str]:
        is_own = sys.prefix != sys.base_prefix
        return ["--python", sys.executable, *([] if is_own else ["--break-system-packages"])]


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None


def _reported(row: dict[str, dict[str, object]]) -> Resolved:
    """Return a package of pip's installation report."""
    about, info = row["metadata"], row["download_info"]
    source = None
    if row.get("is_direct"):
        source = str(info["url"])
        vcs = info.get("vcs_info")
        if isinstance(vcs, dict):
            source = f"{vcs['vcs']}+{source}@{vcs['commit_id']}"
    return Resolved(canonicalize_name(str(about["name"])), str(about["version"]), source)


def _run(command: Sequence[str], what: str, given: str | None = None) -> str:
    """Run an installer and return its output, standard error included.

    Raises ``InputError`` if there is no solution, :class:`JudgementError` for everything else.
    """
    done = subprocess.run(
        list(command),
        input=given or "",
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        env={**os.environ, "NO_COLOR": "1", "GIT_TERMINAL_PROMPT": "0"},
    )
    if done.returncode == 0:
        return f"{done.stdout}\n{done.stderr}"
    text = f"{done.stdout}\n{done.stderr}"
    if _DISK_FULL.search(text):
        raise MachineError(
            "upgrade: the disk is full, so the candidate could not be installed; free some space, "
            "or set TURBO_LAB_CACHE to a folder on another disk"
        )
    program = "pip" if "pip" in command[:3] else "uv"
    offline = [
        name for name in _OFFLINE[program] if os.environ.get(name, "0") not in ("", "0", "false")
    ]
    if _NO_NETWORK.search(text) and not offline:
        raise MachineError(
            f"upgrade: the candidate could not be {what}, because the package index cannot be "
            "reached; check the network and the index settings of pip or uv"
        )
    kind = JudgementError if what == "installed" else InputError
    note = f"; {', '.join(offline)} is set, so no index was asked" if offline else ""
    raise kind(f"upgrade: the candidate could not be {what}{note}:\n{reason(text)}")


def reason(text: str) -> str:
    """Return an installer's reason in at most two lines, without addresses."""
    lines = [_shorten(_REASON.sub("", line)) for line in text.splitlines() if _REASON.match(line)]
    lines = [line for line in dict.fromkeys(lines) if line and not _is_noise(line)]
    rest = [line for line in text.splitlines() if line.strip()]
    return "\n".join(f"  {line}" for line in (lines or [_shorten(rest[-1]) if rest else "?"])[:2])


def _is_noise(line: str) -> bool:
    return line.startswith(("No solution found", "ResolutionImpossible", "For more information"))


def _shorten(line: str) -> str:
    """Return one line without addresses; a list of versions is cut to its last ones."""
    text = _ADDRESS.sub("(address)", line.strip())
    text = _LISTED.sub(_newest_listed, text)
    return text if len(text) <= _MOST else f"{text[: _MOST - 3]}..."


def _newest_listed(found: re.Match[str]) -> str:
    return f"(newest: {', '.join(found[1].split(', ')[-_NEWEST_SHOWN:])})"
