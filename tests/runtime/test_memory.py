"""Errors that say memory ran out, and memory that is returned."""

from __future__ import annotations

import pytest
import torch

from turbo_lab.runtime.memory import (
    give_back_what_is_freed,
    is_out_of_memory,
    release,
    weights_bytes,
)


@pytest.mark.parametrize(
    ("error", "is_memory"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to"), True),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to"), True),
        (RuntimeError("shapes do not match"), False),
        (ValueError("not enough memory"), False),
        (OSError("can't allocate memory"), False),
    ],
)
def test_only_errors_about_memory_call_for_smaller_batches(
    error: Exception, is_memory: bool
) -> None:
    assert is_out_of_memory(error) is is_memory


def test_the_error_of_torch_s_cpu_allocator_is_known() -> None:
    with pytest.raises(RuntimeError) as raised:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert is_out_of_memory(raised.value)


def test_what_is_out_of_reach_is_freed() -> None:
    import gc
    import weakref

    class Node:
        def __init__(self) -> None:
            self.own = self

    kept = weakref.ref(Node())
    was_enabled = gc.isenabled()
    release()
    give_back_what_is_freed()
    assert kept() is None and gc.isenabled() is was_enabled


def test_the_size_of_weights_is_that_of_their_numbers() -> None:
    layer = torch.nn.Linear(32, 16)
    layer.register_buffer("count", torch.zeros(3, dtype=torch.int64))
    assert weights_bytes([layer]) == (32 * 16 + 16) * 4 + 3 * 8
    assert weights_bytes([layer.half(), torch.nn.Linear(1, 1)]) == (32 * 16 + 16) * 2 + 3 * 8 + 8


def test_a_quantised_weight_counts_with_its_scales() -> None:
    quantization = pytest.importorskip("torchao.quantization")
    layer = torch.nn.Sequential(torch.nn.Linear(256, 256, bias=False))
    quantization.quantize_(layer, quantization.Int8WeightOnlyConfig())
    size = weights_bytes([layer])
    assert 256 * 256 < size <= 256 * 256 + 256 * 8
