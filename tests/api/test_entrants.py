"""The entrants that words name."""

from __future__ import annotations

import pytest

from turbo_lab.api.entrants import CompareWords
from turbo_lab.errors import InputError


def test_other_models_have_settings_of_their_own() -> None:
    words = ["model=nano-turbo", "baselines=nano-sdxl,nano-lcm", "lora=flat@0.8", "num_images=2"]
    candidate, baselines = CompareWords.split(words).entrants()
    assert candidate.label == "nano-turbo 1 step lora=flat@0.8"
    assert [one.label for one in baselines] == ["nano-sdxl 25 steps", "nano-lcm 4 steps"]
    assert {one.sweep.cells[0].num_images for one in (candidate, *baselines)} == {2}


def test_variants_of_a_model_differ_in_one_side() -> None:
    candidate, (baseline,) = CompareWords.split(["candidate.dtype=bfloat16", "lora=ink"]).entrants()
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
    candidate, (baseline,) = CompareWords.split(words).entrants()
    (own,), (other,) = candidate.sweep.cells, baseline.sweep.cells
    assert (own.request.model, other.request.model) == ("nano-turbo", "nano-lcm")
    weights = [[weight for _, weight in cell.recipe.lora] for cell in (own, other)]
    assert weights == [[0.8], [1.0]]  # the second is the LoRA that is part of nano-lcm
    assert (own.recipe.num_inference_steps, other.recipe.num_inference_steps) == (2, 4)
    assert candidate.label == "nano-turbo 2 steps lora=ink@0.8"
    assert baseline.label == "nano-lcm 4 steps"


def test_without_other_models_the_baseline_is_its_side() -> None:
    words = ["num_images=1", "candidate.seed=1", "baseline.seed=2"]
    candidate, (baseline,) = CompareWords.split(words).entrants()
    assert candidate.label == "nano-turbo 1 step seed=1"
    assert baseline.label == "nano-turbo 1 step seed=2"
