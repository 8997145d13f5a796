"""The settings that make the image lane reproducible, and their restoration.

Owns every global flag of torch that this package touches; nothing outside this
context manager sets one. ``docs/determinism.md`` says what each one mends.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

# In this order of preference; recorded in the fingerprint as ``sdpa_backend``.
SDPA_BACKENDS = (SDPBackend.FLASH_ATTENTION, SDPBackend.MATH)


@contextmanager
def image_lane(
    num_threads: int, sdpa_backends: Sequence[SDPBackend] = SDPA_BACKENDS
) -> Iterator[None]:
    """Set deterministic kernels, no TF32, a fixed SDPA order and thread count.

    Every setting is restored on exit. CUDA's workspace setting cannot be
    changed once CUDA has started, so it is only set if it is not set yet.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    threads = torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    before = (
        matmul.allow_tf32,
        matmul.allow_fp16_reduced_precision_reduction,
        matmul.allow_bf16_reduced_precision_reduction,
        cudnn.allow_tf32,
        cudnn.benchmark,
        cudnn.deterministic,
    )
    try:
        torch.set_num_threads(num_threads)
        torch.use_deterministic_algorithms(True)
        matmul.allow_tf32 = False
        matmul.allow_fp16_reduced_precision_reduction = False
        matmul.allow_bf16_reduced_precision_reduction = False
        cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic = False, False, True
        with sdpa_kernel(list(sdpa_backends), set_priority=True):
            yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
        (
            matmul.allow_tf32,
            matmul.allow_fp16_reduced_precision_reduction,
            matmul.allow_bf16_reduced_precision_reduction,
            cudnn.allow_tf32,
            cudnn.benchmark,
            cudnn.deterministic,
        ) = before


def numeric_settings() -> tuple[bool, ...]:
    """Return the flags by which torch chooses kernels.

    A kernel that was captured under some flags must not be replayed under others.
    """
    cuda, cudnn = torch.backends.cuda, torch.backends.cudnn
    return (
        torch.are_deterministic_algorithms_enabled(),
        cuda.matmul.allow_tf32,
        cuda.matmul.allow_fp16_reduced_precision_reduction,
        cuda.matmul.allow_bf16_reduced_precision_reduction,
        cudnn.allow_tf32,
        cudnn.benchmark,
        cudnn.deterministic,
        cuda.flash_sdp_enabled(),
        cuda.mem_efficient_sdp_enabled(),
        cuda.math_sdp_enabled(),
        cuda.cudnn_sdp_enabled(),
    )
