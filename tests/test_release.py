"""``.ci/release.py``: what must stop a release."""

from __future__ import annotations

import datetime
import importlib.util
import shutil
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
TODAY = datetime.date(2026, 12, 1)
METADATA = """Metadata-Version: 2.4
Name: turbo-lab
Version: 0.2.0
Summary: A harness
Requires-Python: >=3.11
License-File: LICENSE
Description-Content-Type: text/markdown

# turbo-lab
"""


@pytest.fixture(scope="module")
def release() -> ModuleType:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("release", ROOT / ".ci" / "release.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_changelog_gets_a_dated_section(release: ModuleType) -> None:
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    found = release.dated(text, "0.2.0", TODAY)
    assert "## [Unreleased]\n\n## [0.2.0] - 2026-12-01\n\n### Added\n" in found
    assert len(found) == len(text) + len("\n## [0.2.0] - 2026-12-01\n")
    with pytest.raises(release.ReleaseError, match=r"has a section for 0\.2\.0 already"):
        release.dated(found, "0.2.0", TODAY)
    with pytest.raises(release.ReleaseError, match="says nothing under"):
        release.dated(found, "0.3.0", TODAY)


def test_the_version_is_valid_and_newer(release: ModuleType) -> None:
    source = (ROOT / release.VERSION_FILE).read_text("utf-8")
    assert '__version__ = "9.1.0"' in release.with_version(source, "9.1.0")
    for version, message in {"0.0.1": "must be newer", "next": "is not a version"}.items():
        with pytest.raises(release.ReleaseError, match=message):
            release.with_version(source, version)
    with pytest.raises(release.ReleaseError, match="has no __version__"):
        release.with_version("", "9.1.0")


def make_wheel(path: Path, metadata: str, *names: str) -> Path:
    """Write a wheel with these files."""
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("turbo_lab-0.2.0.dist-info/METADATA", metadata)
        for name in names:
            wheel.writestr(name, "")
    return path


def test_a_wheel_is_checked(release: ModuleType, tmp_path: Path) -> None:
    files = [name + ("x" if name.endswith("/") else "") for name in release.NEEDED]
    path = tmp_path / "a.whl"
    release.check_wheel(make_wheel(path, METADATA, *files), "0.2.0")
    faults = {
        "says version 0.2.0": (METADATA, files, "0.3.0"),
        "has no turbo_lab/data/weights/": (METADATA, files[:2] + files[3:], "0.2.0"),
        "has no summary": (METADATA.replace("Summary: A harness\n", ""), files, "0.2.0"),
    }
    for message, (metadata, names, version) in faults.items():
        with pytest.raises(release.ReleaseError, match=message):
            release.check_wheel(make_wheel(path, metadata, *names), version)


def test_a_file_that_is_too_large_is_refused(
    release: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release, "MAX_BYTES", 3)
    (tmp_path / "a").write_bytes(b"abcd")
    with pytest.raises(release.ReleaseError, match="has 4 bytes, above 3"):
        release.check_size(tmp_path / "a")


def test_builds_that_differ_are_refused(
    release: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = iter([{"a.whl": "1", "b": "2"}, {"a.whl": "1", "b": "3"}])
    monkeypatch.setattr(release, "build", lambda folder: next(found))
    with pytest.raises(release.ReleaseError, match="two builds differ in b"):
        release.build_twice(tmp_path)


def test_a_command_that_fails_stops_the_release(release: ModuleType) -> None:
    release.run([sys.executable, "-c", ""])
    with pytest.raises(release.ReleaseError, match="ended with 3"):
        release.run([sys.executable, "-c", "raise SystemExit(3)"])


@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="the source archive has no commits")
def test_two_builds_are_equal_and_the_wheel_runs_by_itself(
    release: ModuleType, tmp_path: Path
) -> None:
    release.build_twice(tmp_path / "dist")
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    release.check_wheel(wheel, wheel.name.split("-")[1])
    commands = release.fresh_environment(tmp_path / "venv", wheel)
    shutil.rmtree(tmp_path / "dist")
    script = "import turbo_lab; print(turbo_lab.__file__)"
    found = release.output(str(commands / "python"), "-I", "-c", script)
    assert found.strip().startswith(str(tmp_path / "venv"))
    release.run([str(commands / "turbo-lab"), "plan", "num_images=4"], tmp_path)
