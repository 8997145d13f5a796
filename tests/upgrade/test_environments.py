"""Environments of candidates, made from wheels of a local folder."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from tests.upgrade.wheels import make_wheel
from turbo_lab.errors import InputError, JudgementError
from turbo_lab.upgrade.environments import (
    Candidate,
    Environment,
    base_paths,
    installed_versions,
    make_environment,
    needed_packages,
    resolve_candidate,
)
from turbo_lab.upgrade.installer import Pip, Resolved
from turbo_lab.upgrade.requirements import parse_requirement

BIG = 3 << 20
"""Bytes of the module of ``lamp 2.0``."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("wheels")
    make_wheel(found, "lamp", "1.0")
    make_wheel(found, "lamp", "2.0", {"lamp.py": "#" * BIG})
    # A copy of a package of this environment, which the candidate's must come before.
    make_wheel(found, "zipp", "99.0", {"zipp/__init__.py": "__version__ = '99.0'\n"})
    return found


@pytest.fixture(autouse=True)
def cache(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("TURBO_LAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "environments"


def candidate(*words: str) -> Candidate:
    """Return packages as they are asked for: resolving them all takes pip seconds."""
    wanted = tuple(parse_requirement(word) for word in words)
    packages = []
    for one in wanted:
        name, _, version = Path(one.text).name.replace("-", "==").partition("==")
        source = None if one.path is None else one.path.as_uri()
        packages.append(Resolved(name, version.partition("==")[0], source))
    return Candidate(wanted, tuple(sorted(packages, key=lambda one: one.name)))


def run(environment: Environment, code: str) -> str:
    done = subprocess.run(
        [str(environment.python), "-P", "-c", code], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_the_candidate_comes_first_and_the_rest_is_that_of_this_environment() -> None:
    wanted = [parse_requirement(word) for word in ("zipp==99.0", "lamp==1.0")]
    environment = make_environment(resolve_candidate(wanted, Pip(), pre=False), Pip())
    assert [one.name for one in environment.packages] == ["lamp", "zipp"]
    code = """
        import json, sys, zipp, lamp, numpy, turbo_lab
        from importlib.metadata import version
        files = [one.__file__ for one in (zipp, lamp, numpy, turbo_lab)]
        print(json.dumps([zipp.__version__, version("zipp"), sys.prefix, files]))
    """
    shown, installed, prefix, files = json.loads(run(environment, textwrap.dedent(code)))
    assert (shown, installed) == ("99.0", "99.0")
    assert Path(prefix) == environment.root
    assert [Path(file).is_relative_to(environment.root) for file in files] == [1, 1, 0, 0]
    assert Path(files[3]).parent == Path(sys.modules["turbo_lab"].__file__ or "").parent


def test_an_environment_is_made_once_per_resolved_set() -> None:
    first = make_environment(candidate("lamp==1.0"), Pip())
    again = make_environment(candidate("lamp==1.0"), Pip())
    other = make_environment(candidate("lamp==2.0"), Pip())
    assert first.made_s is not None and other.made_s is not None
    assert (again.root, again.made_s) == (first.root, None)
    assert other.root != first.root


def test_a_wheel_with_other_content_is_another_environment(tmp_path: Path) -> None:
    roots = set()
    for text in ("a = 1\n", "a = 2\n"):
        wheel = make_wheel(tmp_path / "own", "lamp", "1.0", {"lamp.py": text})
        environment = make_environment(candidate(str(wheel)), Pip())
        assert run(environment, "import lamp; print('a =', lamp.a)") == text.strip()
        roots.add(environment.root)
    assert len(roots) == 2


@pytest.mark.parametrize("damage", ["no marker", "other marker", "half made"])
def test_a_damaged_or_half_made_environment_is_made_again(damage: str) -> None:
    environment = make_environment(candidate("lamp==1.0"), Pip())
    marker = environment.root / "turbo-lab-environment.json"
    if damage == "no marker":
        marker.unlink()
    elif damage == "other marker":
        marker.write_text("{")
    else:
        environment.root.rename(environment.root.with_suffix(".making"))
    again = make_environment(candidate("lamp==1.0"), Pip())
    assert again.made_s is not None
    assert run(again, "import lamp; print(lamp.__version__)") == "1.0"
    assert not again.root.with_suffix(".making").exists()


def test_two_at_once_make_one(cache: Path) -> None:
    found: list[Environment] = []
    wanted = candidate("lamp==1.0")
    threads = [
        threading.Thread(target=lambda: found.append(make_environment(wanted, Pip())))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.made_s is None for one in found) == [False, True]
    assert len([path for path in cache.iterdir() if path.is_dir()]) == 1


def test_a_full_disk_leaves_nothing(cache: Path) -> None:
    code = f"""
        import resource, sys
        from turbo_lab.errors import JudgementError
        from turbo_lab.upgrade.environments import Candidate, make_environment
        from turbo_lab.upgrade.installer import Pip, Resolved
        found = Candidate((), (Resolved("lamp", "2.0"),))
        resource.setrlimit(resource.RLIMIT_FSIZE, ({BIG // 2}, {BIG // 2}))
        try:
            make_environment(found, Pip())
        except JudgementError as error:
            sys.exit(str(error))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False
    )
    assert "upgrade: the disk is full" in done.stderr
    assert [path.name for path in cache.iterdir() if path.is_dir()] == []
    assert make_environment(candidate("lamp==2.0"), Pip()).made_s is not None


def test_a_cache_that_cannot_be_written_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TURBO_LAB_CACHE", str(tmp_path / "file"))
    with pytest.raises(JudgementError, match="set TURBO_LAB_CACHE"):
        make_environment(Candidate((), (Resolved("lamp", "1.0"),)), Pip())


def test_turbo_lab_is_no_candidate(tmp_path: Path) -> None:
    project = tmp_path / "own"
    wheel = make_wheel(project, "turbo-lab", "9.9")
    with pytest.raises(InputError, match="turbo-lab cannot be its own candidate"):
        parse_requirement(str(wheel))


def test_what_turbo_lab_needs_is_kept() -> None:
    needed = needed_packages()
    assert {"torch", "diffusers", "transformers", "peft"} <= set(needed)
    assert set(needed) <= set(installed_versions())
    assert all(path.is_dir() for path in base_paths())
