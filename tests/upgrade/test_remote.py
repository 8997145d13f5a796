"""Probes in other processes, with libraries that behave and libraries that do not."""

from __future__ import annotations

import os
import select
from pathlib import Path

import pytest

from tests.upgrade.wheels import make_wheel
from turbo_lab.upgrade.environments import Candidate, Environment, make_environment
from turbo_lab.upgrade.installer import Pip, Resolved
from turbo_lab.upgrade.messages import Described
from turbo_lab.upgrade.probe import LIBRARIES
from turbo_lab.upgrade.remote import ProbeError, RemoteProbe


def environment(folder: Path, **modules: str) -> Environment:
    """Return an environment in which every library that draws is a module of one line."""
    packages = []
    for name in LIBRARIES:
        text = modules.get(name, "version = 1\n")
        wheel = make_wheel(folder / "wheels", name, "77.0", {f"{name}/__init__.py": text})
        packages.append(Resolved(name, "77.0", wheel.as_uri()))
    return make_environment(Candidate((), tuple(packages)), Pip())


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("TURBO_LAB_CACHE", str(tmp_path / "cache"))


def describe(found: Environment, log: Path, limit_s: float = 60) -> Described:
    with RemoteProbe("the candidate", log, limit_s, found) as probe:
        return probe.ask(Described, "describe", "import its libraries")


def test_a_process_says_what_it_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A folder on the path of this process must not come before the candidate's packages.
    (tmp_path / "path" / "diffusers").mkdir(parents=True)
    (tmp_path / "path" / "diffusers" / "__init__.py").write_text("raise SystemExit('wrong')")
    (tmp_path / "path" / "extra.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "path"))
    noisy = "print('on standard output')\nimport extra\n"
    found = environment(tmp_path, diffusers=noisy)
    described = describe(found, tmp_path / "log")
    assert {described.versions[name] for name in LIBRARIES} == {"77.0"}
    assert all(Path(file).is_relative_to(found.root) for file in described.modules.values())
    assert described.sources["torch"].endswith("torch-77.0-py3-none-any.whl")
    assert described.versions["click"]  # of this environment
    assert (tmp_path / "log").read_text() == "on standard output\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("raise ImportError('libcudart.so.99 is missing')", "ImportError: libcudart.so.99 is"),
        ("import os; os.abort()", "its process ended by signal SIGABRT"),
        ("import os; os._exit(7)", "its process ended with exit code 7"),
    ],
)
def test_a_candidate_that_cannot_import_or_crashes(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ProbeError, match="the candidate could not import its libraries") as caught:
        describe(environment(tmp_path, torch=text), tmp_path / "log")
    assert message in str(caught.value)
    assert caught.value.exit_code == 4


def ends(pid: int, limit_s: float) -> bool:
    """Wait until a process has ended, which the kernel does some time after it was killed."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], limit_s)[0])
    finally:
        os.close(handle)


def test_a_candidate_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    hangs = f"""
import pathlib, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
pathlib.Path({str(tmp_path / "child")!r}).write_text(str(child.pid))
time.sleep(600)
"""
    found = environment(tmp_path, torch=hangs)
    with pytest.raises(ProbeError, match="was silent for 3.0 s .--timeout. and was ended"):
        describe(found, tmp_path / "log", limit_s=3)
    child = int((tmp_path / "child").read_text())
    assert ends(child, limit_s=60)
    with pytest.raises(ProcessLookupError):
        os.killpg(child, 0)


def test_an_error_is_answered_and_the_process_goes_on(tmp_path: Path) -> None:
    found = environment(tmp_path)
    with RemoteProbe("the candidate", tmp_path / "log", 60, found) as probe:
        with pytest.raises(ProbeError, match="could not be timed: AssertionError: warm_up comes"):
            probe.ask(Described, "block", "be timed", calls=1)
        assert probe.is_alive
        assert probe.ask(Described, "describe", "import its libraries").modules
    assert not probe.is_alive
