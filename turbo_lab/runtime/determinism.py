"""The settings that make the image lane reproducible, and their restoration.

Owns every global flag of torch that this package touches; nothing outside this
context manager sets one. ``docs/determinism.md`` says what each one mends.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

_FLASH, _EFFICIENT, _MATH = (
    SDPBackend.FLASH_ATTENTION,
    SDPBackend.EFFICIENT_ATTENTION,
    SDPBackend.MATH,
)
SDPA_BACKENDS: Mapping[str, Sequence[SDPBackend]] = {
    "cpu": (_FLASH, _MATH),
    # A GPU's flash attention takes heads of up to 256 in float16 and bfloat16. The VAE's one head
    # has 512: efficient attention takes it, math would need a score matrix of 1 GiB per image at
    # 1024x1024. The forward pass of all three is deterministic.
    "cuda": (_FLASH, _EFFICIENT, _MATH),
}
"""Order of the image lane by device; recorded in the fingerprint as ``sdpa_backend``."""
_ORDERS: Mapping[str, Sequence[SDPBackend]] = {
    "flash": (_FLASH, _EFFICIENT, _MATH),
    "efficient": (_EFFICIENT, _MATH),
    "math": (_MATH,),
}

_Switch = tuple[Any, str]
_MATMUL, _CUDNN = torch.backends.cuda.matmul, torch.backends.cudnn
_DETERMINISTIC: Mapping[_Switch, bool] = {
    (_MATMUL, "allow_fp16_reduced_precision_reduction"): False,
    (_MATMUL, "allow_bf16_reduced_precision_reduction"): False,
    (_CUDNN, "benchmark"): False,
    (_CUDNN, "deterministic"): True,
    # Filling memory before a kernel writes to it decides no bit, and takes 2% of a call.
    (torch.utils.deterministic, "fill_uninitialized_memory"): False,
}


def fix_cublas_workspace() -> None:
    """Set cuBLAS's workspace to a fixed size, unless the user has set one.

    Without it, torch refuses matrix products in the image lane. It reads the setting once per
    process, at the first product, so this comes before a pipeline reaches a GPU.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def attention_order(attention: str, device: str) -> Sequence[SDPBackend] | None:
    """Return the backends of ``attention=`` by preference; ``None``: the lane's own order."""
    if attention == "flash" and device == "cpu":  # a CPU has no efficient attention
        return _FLASH, _MATH
    return _ORDERS.get(attention)


@contextmanager
def timing_lane(attention: str, tf32: str, device: str) -> Iterator[None]:
    """Set the kernels of ``attention=`` and ``tf32=`` for everything inside.

    ``auto`` leaves what torch does by itself.
    """
    order = attention_order(attention, device)
    switches = {} if tf32 == "auto" else _tf32_switches(tf32)
    with (
        _switched(switches),
        nullcontext() if order is None else sdpa_kernel(list(order), set_priority=True),
    ):
        yield


@contextmanager
def image_lane(
    num_threads: int,
    sdpa_backends: Sequence[SDPBackend] = SDPA_BACKENDS["cpu"],
    tf32: str = "none",
) -> Iterator[None]:
    """Set deterministic kernels, a fixed SDPA order and thread count, and TF32 as ``tf32`` says.

    Every setting is restored on exit, but for that of :func:`fix_cublas_workspace`.
    """
    fix_cublas_workspace()
    threads = torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    switches = {**_DETERMINISTIC, **_tf32_switches("none" if tf32 == "auto" else tf32)}
    try:
        torch.set_num_threads(num_threads)
        torch.use_deterministic_algorithms(True)
        with _switched(switches), sdpa_kernel(list(sdpa_backends), set_priority=True):
            yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)


def _tf32_switches(tf32: str) -> dict[_Switch, bool]:
    """Return the switches of ``tf32=``: ``none``, ``convolutions`` or ``all``."""
    return {
        (_MATMUL, "allow_tf32"): tf32 == "all",
        (_CUDNN, "allow_tf32"): tf32 in ("convolutions", "all"),
    }


@contextmanager
def _switched(switches: Mapping[_Switch, bool]) -> Iterator[None]:
    """Set attributes for everything inside, and restore them."""
    before = {switch: getattr(*switch) for switch in switches}
    try:
        for (owner, name), value in switches.items():
            setattr(owner, name, value)
        yield
    finally:
        for (owner, name), value in before.items():
            setattr(owner, name, value)


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
