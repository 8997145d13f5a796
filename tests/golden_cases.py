"""The cases that tests record goldens of, and the draws of fresh processes that tests share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from turbo_lab.golden.fresh_process import Stages, stages_in_fresh_process
from turbo_lab.golden.run_case import Drawing, RecordedCase
from turbo_lab.trials.faults import decoded

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
Loaded = list[RecordedCase]

FAULTY = Drawing(seams=decoded(lambda images: images + 0.01)())
"""Drawing of a pipeline whose images are a little too bright."""


class FreshDraws:
    """Every stage of cases from fresh processes: one process per list of cases, for all tests."""

    def __init__(self) -> None:
        self._drawn: dict[tuple[tuple[str, ...], ...], dict[str, Stages]] = {}

    def __call__(self, cases: Mapping[str, Sequence[str]]) -> dict[str, Stages]:
        """Return every stage of each case, as ``stages_in_fresh_process`` does."""
        key = tuple((name, *overrides) for name, overrides in cases.items())
        if key not in self._drawn:
            self._drawn[key] = stages_in_fresh_process(cases)
        return dict(self._drawn[key])
