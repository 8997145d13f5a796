"""A gate that words name."""

from __future__ import annotations

import pytest

from turbo_lab.api.gates import compose_gate
from turbo_lab.errors import InputError


def test_words_name_a_policy_and_its_sides() -> None:
    gate = compose_gate(["gate=release", "num_images=2", "candidate.seed=1"])
    assert gate is not None and gate.policy.name == "release" and gate.baseline is None
    assert gate.candidate.cells[0].request.seed == 1
    both = compose_gate(["gate=release", "num_images=2", "baseline.seed=2"])
    assert both is not None and both.baseline is not None
    assert both.baseline.cells[0].request.seed == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["candidate.gate=release"], "candidate.gate: the policy judges both sides"),
        (["gate=release", "seed=1,2"], "gate: the candidate is a grid of 2 cells"),
        (["gate=release", "gate.goldens=[nothing]"], "nothing: unknown"),
    ],
)
def test_words_that_name_no_gate_are_refused(words: list[str], message: str) -> None:
    with pytest.raises(InputError) as refused:
        compose_gate(words)
    assert message in str(refused.value)
