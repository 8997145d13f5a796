"""Marks and differences of stages."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turbo_lab.documents.golden import StageDifference
from turbo_lab.golden.stages import StageValue, causes, differences, mark, outcome_digest


def value(values: np.ndarray, stage: str = "unet.0") -> StageValue:
    return StageValue(stage, "float32", values.astype(np.float32))


def test_a_mark_depends_on_values_shape_and_dtype() -> None:
    values = np.arange(6.0).reshape(2, 3)
    marks = {
        mark(value(values)).sha256,
        mark(value(values.T)).sha256,
        mark(value(values + 1)).sha256,
        mark(StageValue("unet.0", "bfloat16", values.astype(np.float32))).sha256,
    }
    assert len(marks) == 4
    assert mark(value(values)) == mark(value(values.copy()))


def test_a_transposed_view_is_hashed_by_its_values() -> None:
    values = np.arange(12.0).reshape(3, 4)
    assert mark(value(values.T)).sha256 == mark(value(np.ascontiguousarray(values.T))).sha256


def test_with_the_tensor_the_difference_is_exact() -> None:
    values = np.ones((4, 4), np.float32)
    moved = values.copy()
    moved[1, 2] += 0.5
    (found,) = differences([mark(value(values))], {"unet.0": values}, [value(moved)])
    assert not found.equal and not found.estimated
    assert found.max_abs == 0.5
    assert found.relative_l2 == pytest.approx(0.5 / 4)


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1e-3, 0.1, 1.0]))
def test_the_sketch_estimates_the_distance(seed: int, scale: float) -> None:
    generator = np.random.default_rng(seed)
    values = generator.standard_normal(4096)
    moved = values + scale * generator.standard_normal(4096)
    (found,) = differences([mark(value(values))], {}, [value(moved)])
    true = np.linalg.norm(np.float32(moved) - np.float32(values)) / np.linalg.norm(values)
    assert found.estimated and found.max_abs is None
    # A chi-square of 32 degrees lies within these with a probability of 1 - 1e-6.
    assert 0.45 * true < found.relative_l2 < 1.75 * true


def test_a_missing_stage_and_an_extra_one_are_unequal() -> None:
    values = np.ones((2, 2))
    golden = [mark(value(values, "unet.0")), mark(value(values, "unet.1"))]
    found = differences(golden, {}, [value(values, "unet.0"), value(values, "vae")])
    assert [(d.stage, d.equal) for d in found] == [
        ("unet.0", True),
        ("unet.1", False),
        ("vae", False),
    ]


def test_nan_is_never_equal_to_another_value() -> None:
    values = np.ones((2, 2))
    broken = values.copy()
    broken[0, 0] = np.nan
    (found,) = differences([mark(value(values))], {"unet.0": values}, [value(broken)])
    assert not found.equal
    assert np.isnan(found.relative_l2)


def test_the_outcome_is_over_all_stages_in_order() -> None:
    first, second = mark(value(np.ones(3), "unet.0")), mark(value(np.zeros(3), "latents.0"))
    assert outcome_digest([first, second]) != outcome_digest([second, first])


def test_only_what_was_fed_the_goldens_tensors_can_be_a_cause() -> None:
    names = [
        "noise",
        "prompt_embeds",
        "unet.0",
        "latents.0",
        "unet.1",
        "latents.1",
        "vae",
        "pixels",
    ]

    def causes_of(off: set[str], fed: set[str]) -> list[str]:
        own = [
            StageDifference(
                name, equal=name not in off, max_abs=None, relative_l2=None, estimated=False
            )
            for name in names
        ]
        return causes(own, fed)

    kept = {"noise", "unet.0", "latents.0", "unet.1", "latents.1"}
    assert causes_of({"unet.0", "unet.1"}, kept) == ["unet.0", "unet.1"]
    assert causes_of({"prompt_embeds", "unet.0", "unet.1"}, kept) == ["prompt_embeds"]
    assert causes_of({"prompt_embeds", "unet.0"}, {*kept, "prompt_embeds"}) == [
        "prompt_embeds",
        "unet.0",
    ]
    assert causes_of({"latents.0", "unet.1"}, kept - {"latents.0"}) == ["latents.0"]
    assert causes_of({"vae", "pixels"}, kept) == ["vae"]
    assert causes_of({"pixels"}, kept) == ["pixels"]
