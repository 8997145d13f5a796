"""``golden record``: only new cases, and what it says about them."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from turbo_lab.cards import locate_adapter
from turbo_lab.cli.main import main
from turbo_lab.golden.library import GoldenLibrary
from turbo_lab.golden.lifecycle import bound95


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "there is a golden already for two-steps, guided-batch; to replace it"),
        (["two-steps"], "there is a golden already for two-steps; to replace it, run"),
        (["seed=1"], "name the case first, as in record my-case seed=1"),
        (["grid", "seed=1,2"], "golden grid: must be one batch of one cell, not 16 batches of 2"),
        (["shared", "share=batched"], "golden shared: share=batched lets other batches change"),
        (["../out", "seed=1"], "golden ../out: must consist of letters"),
        (["tow-steps"], "golden=tow-steps: unknown. Did you mean two-steps?"),
    ],
)
def test_wrong_words_are_explained(
    in_folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main(["golden", "record", *words]) == 2
    assert message in capsys.readouterr().err


def test_a_second_golden_of_one_cell_is_refused(
    own: GoldenLibrary, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["golden", "record", "again", *own.cases()["two-steps"]]) == 2
    assert "golden again: two-steps has the same cell already" in capsys.readouterr().err


def test_a_recording_without_fresh_processes_says_that_it_proves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["record", "mine", "prompt='a key'", "num_threads=1", "--processes", "0"]
    assert main(["golden", *words]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("mine  ") and "not known whether they reproduce" in shown.out
    assert "recording 1 golden, without a fresh process to compare with" in shown.err
    golden = GoldenLibrary(tmp_path / "goldens").read("mine")
    assert (golden.processes, golden.accepted[0].reason) == (0, "first recording")


def test_nothing_is_recorded_of_a_lora_of_nan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    flat = load_file(locate_adapter("flat").path)
    save_file({key: value * float("nan") for key, value in flat.items()}, "nan.safetensors")
    words = ["golden", "record", "broken", "lora=nan.safetensors", "num_images=1"]
    assert main([*words, "num_threads=1", "--processes", "0"]) == 2
    message = capsys.readouterr().err
    assert "first in unet.0: the LoRA's weights hold NaN or infinity" in message
    assert not (tmp_path / "goldens").exists()


def test_the_bound_follows_the_rule_of_three() -> None:
    assert bound95(0) == 1.0 and bound95(2) == 1.0
    assert bound95(20) == pytest.approx(3 / 21)
