"""The lanes' settings, and what the fingerprint says of them."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch.nn.attention import SDPBackend

from turbo_lab import environment
from turbo_lab.runtime.determinism import (
    SDPA_BACKENDS,
    attention_order,
    image_lane,
    numeric_settings,
    timing_lane,
)

NAMES = {"FLASH_ATTENTION": "flash", "EFFICIENT_ATTENTION": "efficient", "MATH": "math"}
EFFICIENT = SDPBackend.EFFICIENT_ATTENTION


def tf32() -> Mapping[str, bool]:
    return {
        "matmul": torch.backends.cuda.matmul.allow_tf32,
        "convolutions": torch.backends.cudnn.allow_tf32,
    }


def every_switch() -> tuple[object, ...]:
    return (
        torch.get_num_threads(),
        torch.utils.deterministic.fill_uninitialized_memory,
        *numeric_settings(),
    )


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_the_fingerprint_names_the_backends_that_are_set(device: str) -> None:
    said = environment.fingerprint(device, 1).keys["sdpa_backend"]
    assert said == ",".join(NAMES[backend.name] for backend in SDPA_BACKENDS[device])


def test_a_gpu_asks_efficient_attention_before_math() -> None:
    """Flash attention refuses the VAE's head of 512; math would make a whole score matrix."""
    order = list(SDPA_BACKENDS["cuda"])
    assert order.index(EFFICIENT) < order.index(SDPBackend.MATH)
    assert EFFICIENT not in SDPA_BACKENDS["cpu"], "a CPU has none"
    assert attention_order("auto", "cuda") is None
    assert attention_order("math", "cuda") == (SDPBackend.MATH,)
    assert attention_order("flash", "cpu") == SDPA_BACKENDS["cpu"]


def test_everything_is_as_before_afterwards() -> None:
    before = every_switch()
    with pytest.raises(RuntimeError, match="inside"), image_lane(before[0] + 1, tf32="all"):  # type: ignore[operator]
        assert torch.get_num_threads() != before[0]
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.utils.deterministic.fill_uninitialized_memory
        raise RuntimeError("inside")
    assert every_switch() == before
    with timing_lane("math", "all", "cuda"):
        assert every_switch() != before
    assert every_switch() == before


@pytest.mark.parametrize(
    ("value", "matmul", "convolutions"),
    [
        ("auto", False, False),
        ("none", False, False),
        ("convolutions", False, True),
        ("all", True, True),
    ],
)
def test_tf32_is_off_in_the_image_lane_unless_it_is_asked_for(
    value: str, matmul: bool, convolutions: bool
) -> None:
    with image_lane(1, tf32=value):
        assert tf32() == {"matmul": matmul, "convolutions": convolutions}
    if value != "auto":
        with timing_lane("auto", value, "cuda"):
            assert tf32() == {"matmul": matmul, "convolutions": convolutions}


def test_the_timing_lane_leaves_torch_its_own_choice() -> None:
    before = every_switch()
    with timing_lane("auto", "auto", "cuda"):
        assert every_switch() == before


def test_the_order_of_backends_is_set_and_restored() -> None:
    with timing_lane("efficient", "auto", "cuda"):
        assert not torch.backends.cuda.flash_sdp_enabled()
        assert torch.backends.cuda.mem_efficient_sdp_enabled()
    assert torch.backends.cuda.flash_sdp_enabled()
