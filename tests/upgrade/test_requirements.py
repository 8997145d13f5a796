"""Words of a command line as requirements."""

from __future__ import annotations

from pathlib import Path

import pytest
from packaging.version import Version

from turbo_lab.errors import InputError
from turbo_lab.upgrade.requirements import parse_range, parse_requirement, split_words


@pytest.mark.parametrize(
    ("word", "name", "is_pinned"),
    [
        ("diffusers==0.43.0", "diffusers", True),
        ("Hugging_Face.Hub==1.0", "hugging-face-hub", True),
        ("diffusers", "diffusers", False),
        ("torch>=2.15,<3", "torch", False),
        ("torch==2.*", "torch", False),
        ("diffusers[torch]~=0.42.0", "diffusers", False),
        ("diffusers @ git+https://host/x.git@main", "diffusers", True),
        ("git+https://host/x.git", None, True),
    ],
)
def test_requirements(word: str, name: str | None, is_pinned: bool) -> None:
    found = parse_requirement(word)
    assert (found.name, found.is_pinned, found.text) == (name, is_pinned, word)
    assert found.is_direct == ("://" in word)


def test_wheels_archives_and_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = tmp_path / "my_pkg-1.2+patched-py3-none-any.whl"
    archive = tmp_path / "my_pkg-1.2.tar.gz"
    folder = tmp_path / "checkout"
    folder.mkdir()
    for file in (wheel, archive, folder / "pyproject.toml"):
        file.touch()
    assert parse_requirement(str(wheel)).name == "my-pkg"
    assert parse_requirement(str(archive)).name == "my-pkg"
    assert parse_requirement(str(wheel)).shown == wheel.name
    monkeypatch.chdir(tmp_path)
    found = parse_requirement("checkout")
    assert (found.name, found.path, found.text) == (None, folder, str(folder))


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("diffusers==", "not a requirement"),
        ("./absent", "./absent: does not exist"),
        ("absent-1-py3-none-any.whl", "does not exist"),
        ("turbo_lab==0.1.0", "turbo-lab cannot be its own candidate"),
        (".", "has no pyproject.toml or setup.py"),
        ("no version", "not a requirement"),
    ],
)
def test_wrong_requirements(
    word: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        parse_requirement(word)


def test_a_wheel_with_a_wrong_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "diffusers.whl").touch()
    with pytest.raises(InputError, match="not a wheel or source archive"):
        parse_requirement(str(tmp_path / "diffusers.whl"))


def test_credentials_are_not_shown() -> None:
    found = parse_requirement("git+https://me:secret@host/x.git")
    assert found.shown == "git+https://host/x.git"
    with pytest.raises(InputError) as caught:
        parse_requirement("a b @ https://me:secret@host/x.whl")
    assert "secret" not in str(caught.value)


def test_keys_are_told_from_requirements() -> None:
    words = ["diffusers==0.43.0", "model=nano-sdxl", "torch>=2", "gate.latency=0.2", "a~=1", "b!=2"]
    assert split_words(words) == (
        ["diffusers==0.43.0", "torch>=2", "a~=1", "b!=2"],
        ["model=nano-sdxl", "gate.latency=0.2"],
    )


def test_ranges() -> None:
    found = parse_range("Diffusers==0.38.0..0.42.1")
    assert (found.name, found.low, found.high) == (
        "diffusers",
        Version("0.38.0"),
        Version("0.42.1"),
    )
    assert str(found) == "diffusers==0.38.0..0.42.1"


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("diffusers==0.38.0", "not a range of versions"),
        ("diffusers==0.38.0..", "not a range of versions"),
        ("diffusers==..0.38.0", "not a range of versions"),
        ("diffusers==x..0.38.0", "invalid version: 'x'"),
        ("diffusers==0.42.0..0.38.0", "must be older"),
        ("diffusers==0.42.0..0.42.0", "must be older"),
    ],
)
def test_wrong_ranges(word: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_range(word)


def test_a_home_folder_that_is_unknown_is_a_path_that_does_not_exist() -> None:
    with pytest.raises(InputError, match="~no-such-user/a: does not exist"):
        parse_requirement("~no-such-user/a")
