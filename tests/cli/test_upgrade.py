"""``turbo-lab upgrade``, from words to files, with wheels of this test."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.upgrade.wheels import VAE, make_wheel, patched_wheel
from turbo_lab.cli.main import main
from turbo_lab.environment import package_version

CASE = ("gate.goldens=[nano-turbo-1-step]", "gate.min_goldens=1")
SMALL = (*CASE, "num_images=8", "num_threads=1", "device=cpu", "gate.quality.r_precision=null")
VERSION = package_version("diffusers")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with an installer that asks no index."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    return tmp_path


class Answer(NamedTuple):
    exit_code: int
    output: str
    errors: str

    @property
    def document(self) -> dict[str, Any]:
        found = json.loads(self.output)
        assert isinstance(found, dict)
        return found


Upgrade = Callable[..., Answer]


@pytest.fixture
def upgrade(capsys: pytest.CaptureFixture[str], folder: Path) -> Upgrade:
    """Run the command in ``folder`` with pip, on one golden and few images."""

    def run(*words: str) -> Answer:
        code = main(["upgrade", "--installer", "pip", *words, *SMALL])
        return Answer(code, *capsys.readouterr())

    return run


@pytest.mark.slow
def test_a_candidate_that_keeps_bits_passes(upgrade: Upgrade, folder: Path) -> None:
    note = ("__init__.py", "", "# another build\n")
    wheel = patched_wheel(folder, "diffusers", f"{VERSION}+same", note)
    answer = upgrade(str(wheel), "gate.latency=100")
    assert answer.exit_code == 0, answer.output + answer.errors
    assert "goldens: 1 of 1 identical to the bit" in answer.output
    assert "8 of 8 images have the same pixels" in answer.output
    assert f"{wheel.name}: pass" in answer.output
    found = folder / "upgrade" / f"diffusers-{VERSION}+same"
    verdict = json.loads((found / "verdict.json").read_text())
    assert [check["name"] for check in verdict["checks"]] == ["goldens", "clip_score", "latency"]
    assert verdict["timing"]["ratio"] > 0
    lock = (found / "lock.txt").read_text()
    assert f"diffusers @ {wheel.as_uri()}  # {VERSION}+same\n" in lock
    assert f"\ntorch=={package_version('torch')}\n" in lock
    assert (found / "index.html").stat().st_size > 1000
    assert (found / "store").is_dir()


@pytest.mark.slow
def test_a_planted_change_is_a_regression_and_its_stage_is_named(
    upgrade: Upgrade, folder: Path
) -> None:
    wheel = patched_wheel(folder, "diffusers", f"{VERSION}+vae", VAE)
    words = ("timing=off", "--json", "--output", str(folder / "out"))
    answer = upgrade(str(wheel), *words)
    assert answer.exit_code == 1, answer.output + answer.errors
    found = answer.document
    assert found == json.loads((folder / "out" / "verdict.json").read_text())
    (case,) = found["cases"]
    assert (case["verdict"], case["golden_here"]) == ("regression", "pass")
    assert (case["first_difference"]["stage"], case["causes"]) == ("vae", ["vae"])
    assert found["identical_images"] == {"same": 0, "of": 8}
    assert found["timing"] is None
    (package,) = found["packages"]
    assert (package["name"], package["here"], package["is_asked"]) == ("diffusers", VERSION, True)


@pytest.mark.slow
def test_a_case_that_raises_is_an_error_and_the_rest_is_checked(
    upgrade: Upgrade, folder: Path
) -> None:
    raises = (*VAE[:2], "1 / 0")
    wheel = patched_wheel(folder, "diffusers", f"{VERSION}+raises", raises)
    answer = upgrade(str(wheel), "timing=off", "--json")
    assert answer.exit_code == 4, answer.output + answer.errors
    goldens, quality = answer.document["checks"]
    assert (goldens["verdict"], quality["name"], quality["verdict"]) == (
        "error",
        "quality",
        "error",
    )
    assert "ZeroDivisionError" in goldens["note"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("raise ImportError('no libcudart')", "ImportError: no libcudart"),
        ("import os; os.abort()", "signal SIGABRT"),
        ("import time; time.sleep(600)", "was silent for 2.0 s"),
    ],
)
def test_a_candidate_that_cannot_run_is_an_error_and_no_regression(
    text: str, message: str, upgrade: Upgrade, folder: Path
) -> None:
    wheel = make_wheel(folder, "torch", "77.0", {"torch/__init__.py": text})
    answer = upgrade(str(wheel), "--timeout", "2", "--json")
    assert answer.exit_code == 4, answer.output + answer.errors
    assert answer.document["verdict"] == "error"
    (check,) = answer.document["checks"]
    assert check["name"] == "environment"
    assert message in check["note"]


def test_no_such_version_is_wrong_input(upgrade: Upgrade, folder: Path) -> None:
    answer = upgrade("diffusers==99.0")
    assert answer.exit_code == 2
    assert "could not be resolved; PIP_NO_INDEX is set" in answer.errors
    assert "diffusers==99.0" in answer.errors.splitlines()[1]
    assert not (folder / "upgrade").exists()
