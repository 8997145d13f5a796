"""``turbo-lab bisect``, from words to files, with wheels of this test."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_upgrade import CASE, VERSION
from tests.upgrade.wheels import VAE, make_wheel, patched_wheel
from turbo_lab.cli.main import main

WORDS = ("--installer", "pip", *CASE, "num_threads=1", "device=cpu")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    return tmp_path


@pytest.mark.slow
def test_a_planted_change_is_found_between_two_releases(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    same = ("__init__.py", "", "# another build\n")
    for version, patch in (("90.0", same), ("90.2", same), ("90.3", VAE), ("90.4", VAE)):
        patched_wheel(folder, "diffusers", version, patch)
    make_wheel(
        folder, "diffusers", "90.1", {"diffusers/__init__.py": "raise ImportError('broken')\n"}
    )
    code = main(["bisect", "diffusers==90.0..90.4", *WORDS, "--json"])
    found = json.loads(capsys.readouterr().out)
    assert (code, found["outcome"], found["reference"]) == (0, "found", "90.0")
    (change,) = found["changes"]
    assert (change["last_same"], change["first_changed"]) == ("90.2", "90.3")
    assert (change["first_stage"], change["cause"]) == ("vae", "diffusers")
    assert found["environments_run"] == 4
    out = folder / "upgrade" / "diffusers-90.0..90.4-bits"
    assert json.loads((out / "bisect.json").read_text()) == found
    assert "90.3" in (out / "index.html").read_text()
    # The same command again has all of its evidence; a version that breaks is another search.
    assert main(["bisect", "diffusers==90.0..90.4", *WORDS]) == 0
    assert "changed in 90.3 (4 environments ran)" in capsys.readouterr().out
    code = main(["bisect", "diffusers==90.0..90.1", *WORDS, "--test", "crash", "--json"])
    (crash,) = json.loads(capsys.readouterr().out)["changes"]
    assert (code, crash["first_changed"]) == (0, "90.1")
    assert "ImportError: broken" in crash["note"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["diffusers==0.42.0"], "not a range of versions"),
        ([], "bisect: no range: name one range"),
        (["diffusers==1.0..2.0"], "there is no release 1.0 for this Python"),
        (["diffusers==1.0..2.0", "--test", "bit"], "--test=bit: unknown. Did you mean bits?"),
        (["diffusers==1.0..2.0", "--test", "latency"], "set the margin, as in gate.latency=0.2"),
        (["diffusers==1.0..2.0", "gate.goldens=none"], "needs golden cases"),
        (["diffusers==1.0..2.0", "--by-commit", "absent"], "--by-commit=absent: does not exist"),
    ],
)
def test_wrong_input(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    make_wheel(folder, "diffusers", VERSION)
    assert main(["bisect", "--installer", "pip", *words]) == 2
    assert message in capsys.readouterr().err
