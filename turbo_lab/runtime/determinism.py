"""The settings that make the image lane reproducible, and their restoration.

Owns every global flag of torch that this package touches; nothing outside this
context manager sets one. ``docs/determinism.md`` says what each one mends.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

# In this order of preference; recorded in the fingerprint as ``sdpa_backend``.
SDPA_BACKENDS = (SDPBackend.FLASH_ATTENTION, SDPBackend.MATH)

_FLASH, _EFFICIENT, _MATH = (
    SDPBackend.FLASH_ATTENTION,
    SDPBackend.EFFICIENT_ATTENTION,
    SDPBackend.MATH,
)
# A GPU's flash attention takes heads of up to 256; the VAE's one head has 512 and needs the next.
_ORDERS: Mapping[str, Sequence[SDPBackend]] = {
    "flash": (_FLASH, _EFFICIENT, _MATH),
    "efficient": (_EFFICIENT, _MATH),
    "math": (_MATH,),
}


def attention_order(attention: str, device: str) -> Sequence[SDPBackend] | None:
    """Return the backends of ``attention=`` by preference; ``None``: the lane's own order."""
    if attention == "flash" and device == "cpu":  # a CPU has no efficient attention
        return _FLASH, _MATH
    return _ORDERS.get(attention)


@contextmanager
def attention(name: str, device: str) -> Iterator[None]:
    """Set the backends of ``attention=`` for everything run inside; ``auto`` sets none."""
    order = attention_order(name, device)
    with nullcontext() if order is None else sdpa_kernel(list(order), set_priority=True):
        yield


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
