"""Refusal of questions about images of models whose weights are drawn from a seed."""

from __future__ import annotations

import pytest

from turbo_lab.config import compose
from turbo_lab.errors import InputError
from turbo_lab.planning.random_weights import refuse_random_weights
from turbo_lab.planning.resolved_sweep import ResolvedSweep, resolve_points


def swept(*words: str) -> ResolvedSweep:
    return resolve_points(compose("sweep", ["num_images=1", "tracking=none", *words]))


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("model=nano-turbo,sdxl-turbo-shape",), "model=sdxl-turbo-shape"),
        (("vae=sdxl-vae-fp16-shape",), "vae=sdxl-vae-fp16-shape"),
    ],
)
def test_any_part_with_random_weights_is_named_with_the_remedy(
    words: tuple[str, ...], named: str
) -> None:
    with pytest.raises(InputError) as raised:
        refuse_random_weights(swept(*words), "metrics=fd", "set metrics=none")
    assert str(raised.value) == (
        f"metrics=fd: {named} has random weights, so its images are noise; set metrics=none"
    )


def test_trained_weights_pass() -> None:
    refuse_random_weights(swept("model=nano-turbo", "vae=nano-vae"), "metrics=fd", "")
