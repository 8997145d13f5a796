"""A sweep that is cut off and resumed, and that a difference between the two would be seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.golden_cases import Loaded
from turbo_lab.golden.run_case import CaseRunner
from turbo_lab.trials import resumed
from turbo_lab.trials.resumed import resumed_sweep


def test_a_resumed_sweep_leaves_what_an_uninterrupted_one_does(
    loaded: Loaded, runner: CaseRunner
) -> None:
    found = resumed_sweep([case for case, *_ in loaded], runner.worker.weights)
    assert (found.batches, found.before_the_cut) == (2, 1)
    assert (found.equal, found.max_abs) == (True, 0)


def test_one_that_resumes_otherwise_is_seen(
    loaded: Loaded, runner: CaseRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker that resumes gives negatives."""
    run, parts = resumed._run, []

    def inverted(sweep: Any, root: Path, worker: Any) -> None:
        parts.append(root)
        if len(parts) == 3:
            draw = worker.run
            worker.run = lambda *words: 255 - draw(*words)
        run(sweep, root, worker)

    monkeypatch.setattr(resumed, "_run", inverted)
    found = resumed_sweep([case for case, *_ in loaded], runner.worker.weights)
    assert not found.equal and found.max_abs > 100
