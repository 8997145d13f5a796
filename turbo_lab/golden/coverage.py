"""Features that goldens cover, so that a gate can require them.

Owns the list of features. A feature is covered if a golden that was judged here has it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from turbo_lab.golden.document import Golden
from turbo_lab.request.recipe import Recipe

FEATURES: Mapping[str, Callable[[Golden, Recipe, str], bool]] = {
    "candidate_model": lambda golden, recipe, model: recipe.model == model,
    "one_step": lambda golden, recipe, _: recipe.num_inference_steps == 1,
    "several_steps": lambda golden, recipe, _: recipe.num_inference_steps > 1,
    "guidance": lambda golden, recipe, _: recipe.has_guidance,
    "negative_prompt": lambda golden, recipe, _: recipe.negative_prompt is not None,
    "batch": lambda golden, recipe, _: len(golden.seeds) > 1,
    "not_square": lambda golden, recipe, _: recipe.width != recipe.height,
    "lora": lambda golden, recipe, _: len(recipe.lora) > 0,
    "lora_stack": lambda golden, recipe, _: len(recipe.lora) > 1,
    "image_to_image": lambda golden, recipe, _: recipe.strength is not None,
}
"""Test of each feature; it takes a golden, its recipe and the digest of the candidate's model."""


def missing_features(required: Sequence[str], judged: Sequence[Golden], model: str) -> list[str]:
    """Return the required features that none of the judged goldens has.

    ``model``: digest of the candidate's weights.
    """
    return [
        feature
        for feature in required
        if not any(_has_feature(golden, feature, model) for golden in judged)
    ]


def _has_feature(golden: Golden, feature: str, model: str) -> bool:
    recipe = golden.recipe
    return isinstance(recipe, Recipe) and FEATURES[feature](golden, recipe, model)
