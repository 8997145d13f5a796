"""Entrants of a comparison, from words."""

from __future__ import annotations

from turbo_lab.cli.compare_entrants import entrants
from turbo_lab.cli.sides import split_sides


def test_other_models_take_the_common_keys_but_not_the_candidates_own() -> None:
    words = split_sides(["num_images=1", "num_inference_steps=2", "lora=ink@0.8"])
    candidate, (baseline,) = entrants(words, ["nano-lcm"])
    (own,), (other,) = candidate.sweep.cells, baseline.sweep.cells
    assert (own.request.model, other.request.model) == ("nano-turbo", "nano-lcm")
    weights = [[weight for _, weight in cell.recipe.lora] for cell in (own, other)]
    assert weights == [[0.8], [1.0]]  # the second is the LoRA that is part of nano-lcm
    assert (own.recipe.num_inference_steps, other.recipe.num_inference_steps) == (2, 4)
    assert candidate.label == "nano-turbo 2 steps lora=ink@0.8"
    assert baseline.label == "nano-lcm 4 steps"


def test_without_other_models_the_baseline_is_its_side() -> None:
    words = split_sides(["num_images=1", "candidate.seed=1", "baseline.seed=2"])
    candidate, (baseline,) = entrants(words, [])
    assert candidate.label == "nano-turbo 1 step seed=1"
    assert baseline.label == "nano-turbo 1 step seed=2"
