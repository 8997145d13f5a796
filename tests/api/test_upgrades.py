"""The inputs of an upgrade, from words."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.upgrade.wheels import make_wheel
from turbo_lab.api.upgrades import default_folder, prepare_upgrade
from turbo_lab.errors import InputError
from turbo_lab.upgrade.environments import Candidate
from turbo_lab.upgrade.installer import Resolved
from turbo_lab.upgrade.requirements import parse_requirement


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "upgrade: name a version, as in turbo-lab upgrade diffusers==0.43.0"),
        (["diffusers=0.43.0"], "diffusers=0.43.0: to name a version, write diffusers==0.43.0"),
        (["a==1", "candidate.seed=1"], "candidate.seed: both environments draw the same pipeline"),
        (["a==1", "published=on"], "published"),
        (["a==1", "seed=1,2"], "upgrade|gate: the candidate is a grid of 2 cells"),
        (["a==1", "gate.goldens=[absent]"], "absent: unknown"),
        (["a==1", "num_inference_steps=0"], "num_inference_steps=0"),
        (["turbo-lab==1"], "turbo-lab cannot be its own candidate"),
    ],
)
def test_wrong_words_are_refused_before_anything_is_installed(
    words: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")  # an installer that is asked too early is not found
    with pytest.raises(InputError, match=message):
        prepare_upgrade(words, installer="uv")


def test_inputs_are_ready_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = make_wheel(tmp_path, "lamp", "1.0")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("TURBO_LAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    words = [str(wheel), "num_images=2", "gate.latency=0.5"]
    found = prepare_upgrade(words, installer="pip", limit_s=5)
    assert found.policy.latency == 0.5
    assert found.words == ("num_images=2", "gate.latency=0.5", "tracking=none", "gate=release")
    assert found.sweep.cells[0].num_images == 2
    assert (found.environment.python.exists(), found.limit_s) == (True, 5)
    assert found.output == tmp_path / "upgrade" / "lamp-1.0"
    assert found.output.is_dir()


def test_what_is_installed_already_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import version

    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(InputError, match="is installed here already; name another version"):
        prepare_upgrade([f"diffusers=={version('diffusers')}"], installer="pip")


def test_the_folder_is_named_after_what_was_asked_for(tmp_path: Path) -> None:
    wanted = [parse_requirement(word) for word in ("torch", "git+https://u:p@host/x.git@a/b")]
    found = Candidate(tuple(wanted), (Resolved("torch", "2.16.0"), Resolved("x", None)))
    assert default_folder(found) == Path("upgrade/torch-2.16.0_b")
