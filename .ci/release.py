"""Build a release and check it: ``make release VERSION=0.2.0``.

Needs a clean working tree. Writes the version and the date, builds the wheel and the source archive
twice, and checks what a user gets: metadata, size, the commands of the README from the wheel in a
fresh environment, the tests from the source archive, and the gate. Publishes nothing.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from packaging.metadata import Metadata
from packaging.version import InvalidVersion, Version

ROOT = Path(__file__).parent.parent
VERSION_FILE = "turbo_lab/__init__.py"
# The Python Package Index refuses larger files unless asked.
MAX_BYTES = 100 << 20
# Each must be in the wheel: without them, the packaged models or their settings are missing.
NEEDED = (
    "turbo_lab/__init__.py",
    "turbo_lab/conf/config.yaml",
    "turbo_lab/data/weights/",
    "hydra_plugins/",
)


class ReleaseError(Exception):
    """A release that must not go out, with the reason."""


def dated(changelog: str, version: str, date: datetime.date) -> str:
    """Return the changelog with its unreleased section under a version and a date.

    Raises :class:`ReleaseError` if the section is absent or empty, or the version is there.
    """
    if f"## [{version}]" in changelog:
        raise ReleaseError(f"CHANGELOG.md has a section for {version} already")
    head, mark, rest = changelog.partition("## [Unreleased]\n")
    body = re.split(r"^## \[", rest, maxsplit=1, flags=re.MULTILINE)[0]
    if not mark or not body.strip():
        raise ReleaseError("CHANGELOG.md says nothing under [Unreleased]")
    return f"{head}{mark}\n## [{version}] - {date.isoformat()}\n{rest}"


def with_version(source: str, version: str) -> str:
    """Return the source of the package with another ``__version__``.

    Raises :class:`ReleaseError` for a version that is not valid, or not newer.
    """
    found = re.search(r'^__version__ = "([^"]+)"$', source, flags=re.MULTILINE)
    if found is None:
        raise ReleaseError(f"{VERSION_FILE} has no __version__")
    try:
        is_newer = Version(version) > Version(found[1])
    except InvalidVersion as error:
        raise ReleaseError(f"VERSION={version}: is not a version such as 0.2.0") from error
    if not is_newer:
        raise ReleaseError(f"VERSION={version}: must be newer than {found[1]}")
    return source.replace(found[0], f'__version__ = "{version}"')


def check_wheel(path: Path, version: str) -> None:
    """Check metadata, files and size of a wheel. Raises :class:`ReleaseError`."""
    with zipfile.ZipFile(path) as wheel:
        names = wheel.namelist()
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        found = Metadata.from_email(wheel.read(metadata), validate=True)
    if str(found.version) != version:
        raise ReleaseError(f"{path.name}: its metadata says version {found.version}")
    for field in ("summary", "description", "requires_python", "license_files"):
        if not getattr(found, field):
            raise ReleaseError(f"{path.name}: its metadata has no {field}")
    for start in NEEDED:
        if not any(name.startswith(start) for name in names):
            raise ReleaseError(f"{path.name}: has no {start}")
    check_size(path)


def check_size(path: Path) -> None:
    """Check the size of a file to publish. Raises :class:`ReleaseError`."""
    if path.stat().st_size > MAX_BYTES:
        raise ReleaseError(f"{path.name}: has {path.stat().st_size:,} bytes, above {MAX_BYTES:,}")


def digests(folder: Path) -> dict[str, str]:
    """Return the sha256 of each file in a folder, by name."""
    files = sorted(folder.iterdir())
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def fresh_environment(folder: Path, wheel: Path) -> Path:
    """Install a wheel into a new environment; returns its folder of commands.

    The dependencies are those of this environment: they are added to the path, so that nothing is
    downloaded. turbo-lab itself is not, because an editable installation is no folder on the path.
    """
    venv.create(folder, with_pip=False, symlinks=True)
    site = next((folder / "lib").iterdir()) / "site-packages"
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    python = folder / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    run([*install, "--no-deps", "--no-index", "--ignore-installed", str(wheel)])
    return folder / "bin"


def run(words: Sequence[str], folder: Path = ROOT, **variables: str) -> None:
    """Run a command and show what it prints. Raises :class:`ReleaseError` if it fails."""
    print("+", " ".join(words), flush=True)
    done = subprocess.run(words, cwd=folder, env={**os.environ, **variables}, check=False)
    if done.returncode:
        raise ReleaseError(f"{' '.join(words)}: ended with {done.returncode}")


def output(*words: str) -> str:
    """Return what a command prints. Raises ``CalledProcessError``."""
    return subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def build(folder: Path) -> dict[str, str]:
    """Build the wheel and the source archive into an empty folder; returns their digests."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    epoch = output("git", "log", "-1", "--format=%ct").strip()
    for target in ("wheel", "sdist"):
        words = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
        run(words, SOURCE_DATE_EPOCH=epoch)
    return digests(folder)


def build_twice(folder: Path) -> dict[str, str]:
    """Build, and build again elsewhere. Raises :class:`ReleaseError` if the files differ."""
    first = build(folder)
    with TemporaryDirectory() as other:
        second = build(Path(other) / "dist")
    if differ := [name for name in first if first[name] != second.get(name)]:
        raise ReleaseError(f"two builds differ in {', '.join(differ)}")
    return first


def check_installed(wheel: Path, sdist: Path, *, has_tests: bool) -> None:
    """Try the wheel as a user does, and run the tests of the source archive on it."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        commands = fresh_environment(folder / "venv", wheel)
        turbo_lab, work = str(commands / "turbo-lab"), folder / "work"
        work.mkdir()
        run([turbo_lab, "sweep"], work)
        run([turbo_lab, "gate", "gate=release"], work)
        if has_tests:
            with tarfile.open(sdist) as archive:
                archive.extractall(folder / "source", filter="data")
            (source,) = (folder / "source").iterdir()
            tests = [str(commands / "python"), "-m", "pytest", "-m", "not slow"]
            run(tests, source, OMP_NUM_THREADS="1")


def write(changes: Mapping[str, str]) -> None:
    """Write changed files of the repository, by name."""
    for name, text in changes.items():
        (ROOT / name).write_text(text, encoding="utf-8")


def prepare(version: str) -> None:
    """Write the version and the date. Raises :class:`ReleaseError` if anything is uncommitted."""
    if output("git", "status", "--porcelain"):
        raise ReleaseError("the working tree has uncommitted changes; commit them first")
    texts = {name: (ROOT / name).read_text("utf-8") for name in (VERSION_FILE, "CHANGELOG.md")}
    today = datetime.datetime.now(datetime.UTC).date()
    write(
        {
            VERSION_FILE: with_version(texts[VERSION_FILE], version),
            "CHANGELOG.md": dated(texts["CHANGELOG.md"], version, today),
        }
    )


def release(version: str, *, has_tests: bool) -> None:
    """Prepare, build and check a version, and say what to do next."""
    prepare(version)
    dist = ROOT / "dist"
    found = build_twice(dist)
    (wheel,), (sdist,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
    check_wheel(wheel, version)
    check_size(sdist)
    check_installed(wheel, sdist, has_tests=has_tests)
    sums = "".join(f"{digest}  {name}\n" for name, digest in found.items())
    (dist / "SHA256SUMS").write_text(sums)
    print(f"\n{sums}\nnext: git commit -am 'Release {version}' && git tag v{version}")


def main() -> int:
    """Release the version of the command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("version")
    parser.add_argument("--no-tests", action="store_true", help="leave out the tests")
    options = parser.parse_args()
    try:
        release(options.version, has_tests=not options.no_tests)
    except ReleaseError as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
