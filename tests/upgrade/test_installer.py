"""pip and uv on wheels of a local folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from packaging.version import Version

from tests.upgrade.wheels import make_wheel
from turbo_lab.errors import InputError, JudgementError
from turbo_lab.upgrade import installer as module
from turbo_lab.upgrade.installer import (
    Installer,
    Pip,
    Resolved,
    Uv,
    find_installer,
    reason,
    uv_command,
)
from turbo_lab.upgrade.requirements import VersionRange, parse_requirement

NEEDS_UV = pytest.mark.skipif(
    uv_command() is None, reason="needs uv, which the test extra installs"
)


@pytest.fixture(params=["pip", pytest.param("uv", marks=NEEDS_UV)])
def program(request: pytest.FixtureRequest) -> Installer:
    return find_installer(request.param)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("wheels")
    for minor in range(12):
        make_wheel(found, "lamp", f"1.{minor}")
    make_wheel(found, "lamp", "2.0rc1")
    make_wheel(found, "bulb", "1.0", requires=["lamp<1.3"])
    return found


@pytest.fixture(autouse=True)
def only_the_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(folder))


def resolved(program: Installer, *words: str, pre: bool = False) -> Sequence[Resolved]:
    found = program.resolve([parse_requirement(word) for word in words], ["packaging"], pre)
    return sorted(found, key=lambda one: one.name)


@pytest.mark.parametrize(
    ("word", "version"), [("lamp==1.5", "1.5"), ("lamp", "1.11"), ("lamp<1.11", "1.10")]
)
def test_a_requirement_resolves_to_one_version(program: Installer, word: str, version: str) -> None:
    assert resolved(program, word) == [Resolved("lamp", version)]


def test_versions_before_their_release_are_taken_on_request(program: Installer) -> None:
    assert resolved(program, "lamp", pre=True) == [Resolved("lamp", "2.0rc1")]


def test_what_a_requirement_needs_is_resolved_with_it(program: Installer) -> None:
    assert resolved(program, "bulb==1.0") == [Resolved("bulb", "1.0"), Resolved("lamp", "1.2")]


def test_what_is_installed_changes_nothing(program: Installer) -> None:
    assert resolved(program, f"packaging=={_installed('packaging')}") == []


def _installed(name: str) -> str:
    from importlib.metadata import version

    return version(name)


def test_a_wheel_of_the_installed_version_is_a_change(program: Installer, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "packaging", _installed("packaging"))
    (found,) = resolved(program, str(wheel))
    assert found.name == "packaging"
    assert found.version in (_installed("packaging"), None)  # uv does not say it
    assert found.source is not None and found.source.endswith(wheel.name)


def test_the_releases_of_a_range_are_in_order(program: Installer) -> None:
    span = VersionRange("lamp", Version("1.2"), Version("1.11"))
    assert program.releases(span, pre=False) == [Version(f"1.{minor}") for minor in range(2, 12)]
    wide = VersionRange("lamp", Version("1.11"), Version("3"))
    assert program.releases(wide, pre=True)[-1] == Version("2.0rc1")
    assert program.releases(VersionRange("lamp", Version("3"), Version("4")), pre=False) == []


def test_installing_brings_no_dependencies(program: Installer, tmp_path: Path) -> None:
    program.install(tmp_path, ["bulb==1.0"])
    assert (tmp_path / "bulb.py").exists()
    assert not (tmp_path / "lamp.py").exists()


@pytest.mark.parametrize("words", [["lamp==9.9"], ["lamp==1.5", "bulb==1.0"]])
def test_no_solution_is_wrong_input_in_two_lines(program: Installer, words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        resolved(program, *words)
    first, *lines = str(caught.value).splitlines()
    assert first.startswith("upgrade: the candidate could not be resolved; ")
    assert "is set, so no index was asked" in first
    assert 1 <= len(lines) <= 2
    assert "lamp" in lines[0]


def test_an_index_that_cannot_be_reached_is_no_wrong_input(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://me:secret@127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    with pytest.raises(JudgementError, match="the package index cannot be reached") as caught:
        resolved(Pip(), "lamp==9.9")
    assert "secret" not in str(caught.value)
    assert "127.0.0.1" not in str(caught.value)


def test_reasons_show_no_addresses_and_few_versions() -> None:
    text = """
WARNING: Retrying after https://me:secret@host/simple/
ERROR: Could not find a version that satisfies lamp==9 (from versions: 1.0, 1.1, 1.2, 1.3, 1.4)
ERROR: No matching distribution found for lamp==9 at https://me:secret@host/simple/lamp
ERROR: a third line
"""
    assert reason(text) == (
        "  Could not find a version that satisfies lamp==9 (newest: 1.2, 1.3, 1.4)\n"
        "  No matching distribution found for lamp==9 at (address)"
    )
    assert reason("something else\nlast words") == "  last words"
    uv = "error: No solution found\n  cause: Because there is no lamp==9.\n   And because you ask"
    assert reason(uv) == "  Because there is no lamp==9.\n  you ask"


def test_without_an_installer_the_remedy_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="python -m ensurepip"):
        find_installer()
    with pytest.raises(InputError, match="installer=uv: not found"):
        find_installer("uv")


@NEEDS_UV
def test_uv_comes_first() -> None:
    assert isinstance(find_installer(), Uv)
    assert isinstance(find_installer("pip"), Pip)
