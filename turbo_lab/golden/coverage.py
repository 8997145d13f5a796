"""What the goldens of a folder are goldens of: the features that a gate may require.

Owns the list. A feature counts where a golden that was judged here has it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from turbo_lab.golden.document import Golden

FEATURES: Mapping[str, Callable[[Golden, str], bool]] = {
    "candidate_model": lambda golden, model: golden.recipe["model"] == model,
    "one_step": lambda golden, _: golden.recipe["num_inference_steps"] == 1,
    "several_steps": lambda golden, _: golden.recipe["num_inference_steps"] > 1,
    "guidance": lambda golden, _: golden.recipe["guidance_scale"] > 1,
    "negative_prompt": lambda golden, _: golden.recipe["negative_prompt"] is not None,
    "batch": lambda golden, _: len(golden.seeds) > 1,
    "not_square": lambda golden, _: golden.recipe["width"] != golden.recipe["height"],
    "lora": lambda golden, _: len(golden.recipe["lora"]) > 0,
    "lora_stack": lambda golden, _: len(golden.recipe["lora"]) > 1,
}
"""Each asks a golden, and is given the digest of the candidate's model."""


def lacking(required: Sequence[str], judged: Sequence[Golden], model: str) -> list[str]:
    """Required features that none of the judged goldens has.

    ``model``: digest of the candidate's weights.
    """
    return [name for name in required if not any(FEATURES[name](one, model) for one in judged)]
