"""Releases and commits as entries of a bisection."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.upgrade.wheels import make_wheel
from turbo_lab.errors import InputError
from turbo_lab.upgrade.installer import Pip
from turbo_lab.upgrade.requirements import parse_range
from turbo_lab.upgrade.subjects import commits, releases


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for minor in (0, 1, 9, 10):
        make_wheel(tmp_path, "lamp", f"1.{minor}")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("TURBO_LAB_CACHE", str(tmp_path / "cache"))
    return tmp_path


def test_releases_are_in_order(folder: Path) -> None:
    found = releases(parse_range("lamp==1.1..1.10"), Pip(), pre=False)
    assert [one.label for one in found] == ["1.1", "1.9", "1.10"]
    assert found[0].wanted().text == "lamp==1.1"


@pytest.mark.parametrize(
    ("span", "message"),
    [
        ("lamp==1.1..1.11", "there is no release 1.11 for this Python; in the range are 1.1 to"),
        ("lamp==1.2..1.9", "there is no release 1.2 for this Python; in the range is 1.9"),
        ("lamp==2.0..3.0", "there is no release 2.0 for this Python, and none in between"),
    ],
)
def test_ends_that_do_not_exist_are_refused(folder: Path, span: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        releases(parse_range(span), Pip(), pre=False)


@pytest.fixture
def checkout(folder: Path) -> Path:
    """A repository of three commits, each of another version."""
    root = folder / "checkout"
    root.mkdir()
    identity = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false"]

    def git(*words: str) -> None:
        subprocess.run(["git", "-C", str(root), *identity, *words], check=True, capture_output=True)

    git("init", "-q", "-b", "main")
    for minor in range(3):
        (root / "lamp.py").write_text(f"version = {minor}\n")
        git("add", "lamp.py")
        git("commit", "-qm", f"Version {minor}")
        git("tag", f"v1.{minor}")
    git("checkout", "-q", "-b", "side", "v1.0")
    git("commit", "-q", "--allow-empty", "-m", "Aside")
    return root


def test_commits_are_in_order_and_become_folders(checkout: Path) -> None:
    found = commits("lamp==1.0..main", checkout)
    assert [one.title for one in found] == ["Version 0", "Version 1", "Version 2"]
    wanted = found[1].wanted()
    assert wanted.name == "lamp"
    assert wanted.path is not None
    assert (wanted.path / "lamp.py").read_text() == "version = 1\n"
    assert found[1].wanted() == wanted  # exported once


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("lamp==1.0", "not a range of commits"),
        ("lamp==1.0..v9", "v9: neither a commit nor a tag"),
        ("lamp==v1.2..v1.0", "the first commit is not an ancestor"),
        ("lamp==side..main", "the first commit is not an ancestor"),
    ],
)
def test_wrong_commits_are_refused(word: str, message: str, checkout: Path) -> None:
    with pytest.raises(InputError, match=message):
        commits(word, checkout)
