"""The entrants that words name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.small_sweeps import misfit
from turbo_lab.api.entrants import CompareWords
from turbo_lab.compare.entrant import Entrant, FailedEntrant
from turbo_lab.errors import InputError, MissingFilesError


def runnable(words: list[str]) -> tuple[list[Entrant], list[Entrant]]:
    """Return the candidates and the baselines that words name, all of which can run."""
    candidates, baselines = CompareWords.split(words).entrants()
    assert all(isinstance(one, Entrant) for one in (*candidates, *baselines))
    return (
        [one for one in candidates if isinstance(one, Entrant)],
        [one for one in baselines if isinstance(one, Entrant)],
    )


def test_other_models_have_settings_of_their_own() -> None:
    words = ["model=nano-turbo", "baselines=nano-sdxl,nano-lcm", "lora=flat@0.8", "num_images=2"]
    (candidate,), baselines = runnable(words)
    assert candidate.label == "nano-turbo 1 step lora=flat@0.8"
    assert [one.label for one in baselines] == ["nano-sdxl 25 steps", "nano-lcm 4 steps"]
    assert {one.sweep.cells[0].num_images for one in (candidate, *baselines)} == {2}


def test_variants_of_a_model_differ_in_one_side() -> None:
    (candidate,), (baseline,) = runnable(["candidate.dtype=bfloat16", "lora=ink"])
    assert candidate.label == "nano-turbo 1 step dtype=bfloat16"
    assert baseline.label == "nano-turbo 1 step"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model=nano-turbo"], "compare: name the baselines, as in"),
        (["baselines=nano-lcm", "published=yes"], "published=yes: must be on or off"),
        (["baselines=published"], "published values are not a baseline"),
    ],
)
def test_words_that_name_no_comparison_are_refused(words: list[str], message: str) -> None:
    with pytest.raises(InputError) as refused:
        CompareWords.split(words)
    assert message in str(refused.value)


def test_published_values_are_shown_on_request() -> None:
    words = ["baselines=nano-lcm", "published=on"]
    assert CompareWords.split(words).is_published
    assert not CompareWords.split(words[:1]).is_published


def test_other_models_take_the_common_keys_but_not_the_candidates_own() -> None:
    words = ["num_images=1", "num_inference_steps=2", "lora=ink@0.8", "baselines=nano-lcm"]
    (candidate,), (baseline,) = runnable(words)
    (own,), (other,) = candidate.sweep.cells, baseline.sweep.cells
    assert (own.request.model, other.request.model) == ("nano-turbo", "nano-lcm")
    weights = [[weight for _, weight in cell.recipe.lora] for cell in (own, other)]
    assert weights == [[0.8], [1.0]]  # the second is the LoRA that is part of nano-lcm
    assert (own.recipe.num_inference_steps, other.recipe.num_inference_steps) == (2, 4)
    assert candidate.label == "nano-turbo 2 steps lora=ink@0.8"
    assert baseline.label == "nano-lcm 4 steps"


def test_without_other_models_the_baseline_is_its_side() -> None:
    words = ["num_images=1", "candidate.seed=1", "baseline.seed=2"]
    (candidate,), (baseline,) = runnable(words)
    assert candidate.label == "nano-turbo 1 step seed=1"
    assert baseline.label == "nano-turbo 1 step seed=2"


def test_several_values_are_several_candidates() -> None:
    words = ["num_images=1", "dtype=bfloat16", "candidate.quantization=int8wo,float8wo"]
    candidates, (baseline,) = runnable([*words, "candidate.vae_tiling=true"])
    assert [one.label for one in candidates] == [
        "nano-turbo 1 step vae_tiling=true quantization=int8wo",
        "nano-turbo 1 step vae_tiling=true quantization=float8wo",
    ]
    assert baseline.label == "nano-turbo 1 step"
    models, (other,) = runnable(["model=nano-turbo,nano-sdxl", "baselines=nano-lcm"])
    assert [one.label for one in models] == ["nano-turbo 1 step", "nano-sdxl 25 steps"]
    assert other.label == "nano-lcm 4 steps"


def test_what_this_machine_cannot_run_is_left_out_only_among_several() -> None:
    words = ["num_images=1", "device=cpu", "candidate.quantization=int8wo,float8dq"]
    (first, second), _ = CompareWords.split(words).entrants()
    assert isinstance(first, Entrant) and isinstance(second, FailedEntrant)
    assert second.label == "nano-turbo 1 step quantization=float8dq"
    assert str(second.error).startswith("quantization=float8dq: needs a GPU")
    with pytest.raises(InputError, match="needs a GPU of compute capability"):
        CompareWords.split(["device=cpu", "candidate.quantization=float8dq"]).entrants()


def test_a_wrong_value_ends_the_comparison() -> None:
    with pytest.raises(InputError, match="quantization=int9"):
        CompareWords.split(["candidate.quantization=int8wo,int9"]).entrants()


def test_a_model_that_is_not_here_is_left_out_only_among_several(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    _, (first, second) = CompareWords.split(["baselines=sdxl-turbo,nano-lcm"]).entrants()
    assert isinstance(first, FailedEntrant) and isinstance(second, Entrant)
    with pytest.raises(MissingFilesError):
        CompareWords.split(["baselines=sdxl-turbo"]).entrants()


def test_a_key_of_both_sides_has_one_value() -> None:
    with pytest.raises(InputError, match="the baseline is a grid of 2 cells; pass one value per"):
        CompareWords.split(["candidate.dtype=bfloat16", "seed=1,2"]).entrants()


def test_a_lora_for_another_model_is_left_out_only_among_several(tmp_path: Path) -> None:
    words = ["num_images=1", f"candidate.lora=flat,{misfit(tmp_path)}"]
    (first, second), _ = CompareWords.split(words).entrants()
    assert isinstance(first, Entrant) and isinstance(second, FailedEntrant)
    assert "is for another architecture than model=nano-turbo" in str(second.error)
    with pytest.raises(InputError, match=r"wide\.safetensors"):
        CompareWords.split([words[0], f"candidate.lora={misfit(tmp_path)}"]).entrants()
