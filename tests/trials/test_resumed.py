"""A sweep that is cut off and resumed, and that a difference between the two would be seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.golden_cases import Loaded
from turbo_lab.golden.run_case import CaseRunner
from turbo_lab.runtime.seams import Seams
from turbo_lab.trials.resumed import resumed_sweep


def test_a_resumed_sweep_leaves_what_an_uninterrupted_one_does(
    loaded: Loaded, runner: CaseRunner
) -> None:
    found = resumed_sweep([case for case, *_ in loaded], runner.resident.weights)
    assert (found.batches, found.before_interruption) == (2, 1)
    assert (found.equal, found.max_abs) == (True, 0)


def test_one_that_resumes_otherwise_is_seen(loaded: Loaded, runner: CaseRunner) -> None:
    """The worker that resumes draws negatives."""

    def negative(run: Callable[[Any], Any], latents: Any) -> Any:
        return -run(latents)

    cases = [case for case, *_ in loaded]
    found = resumed_sweep(cases, runner.resident.weights, resumes_with=Seams(decode=negative))
    assert not found.equal and found.max_abs > 100
