"""The cases that tests record goldens of."""

from __future__ import annotations

from turbo_lab.golden.document import Golden
from turbo_lab.golden.library import Material
from turbo_lab.golden.run_case import Case

CASES = {
    "two-steps": ("prompt='a key on a blue background'", "num_inference_steps=2", "seed=3"),
    "guided-batch": (
        "prompts=scenes-demo",
        "num_images=4",
        "batch_size=4",
        "guidance_scale=2",
        "negative_prompt='a bell on a red background'",
        "seed=5",
    ),
}
Loaded = list[tuple[Case, Golden, Material]]
