"""Words that several ``golden`` commands share."""

from __future__ import annotations

from pathlib import Path

import pytest

from turbo_lab.cli.golden.options import case_resolver, only_overrides, split_words
from turbo_lab.cli.main import main
from turbo_lab.errors import InputError, OverrideError
from turbo_lab.golden.library import GoldenLibrary


def test_words_are_names_or_overrides() -> None:
    assert split_words(["a", "seed=1", "b"]) == (["a", "b"], ["seed=1"])
    assert only_overrides(["seed=1"]) == ["seed=1"]
    with pytest.raises(InputError, match="two-steps: unexpected name; this command takes KEY=VA"):
        only_overrides(["seed=1", "two-steps"])


def test_words_after_a_cases_own_come_last() -> None:
    case = case_resolver(["num_threads=2"])("one", ["num_images=1", "num_threads=1"])
    assert case.name == "one" and case.sweep.options.num_threads == 2
    assert case.overrides == ("num_images=1", "num_threads=1", "num_threads=2")
    with pytest.raises(InputError, match="seed=1,2: give one value per key"):
        only_overrides(["seed=1,2"])


@pytest.mark.parametrize("word", ["device=dmd2", "attention=dmd2", "num_threads=0"])
def test_a_word_that_is_wrong_for_every_case_is_wrong_input(
    word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["golden", "check", word]) == 2
    assert f"turbo-lab: golden nano-turbo-1-step: {word}: " in capsys.readouterr().err


def test_a_case_that_is_wrong_by_itself_is_not_the_words_fault() -> None:
    resolve = case_resolver(["num_threads=1"])
    with pytest.raises(InputError) as caught:
        resolve("one", ["num_inference_steps=0"])
    assert not isinstance(caught.value, OverrideError)


@pytest.mark.parametrize("command", ["calibrate", "mutate", "invariance"])
def test_trials_need_goldens_and_take_all_of_them(
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    GoldenLibrary(tmp_path / "goldens").write_cases({})
    monkeypatch.chdir(tmp_path)
    assert main(["golden", command, "two-steps"]) == 2
    assert "unexpected name" in capsys.readouterr().err
    assert main(["golden", command]) == 2
    assert "has no goldens yet; run turbo-lab golden record" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [([], "golden: name one of record"), (["chek"], "Did you mean check?")],
)
def test_a_command_is_required(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["golden", *words]) == 2
    assert message in capsys.readouterr().err
