"""Running out of memory: what it looks like, and giving back what can be given.

Owns the list of the errors that say so; torch has one for CUDA and none for the CPU.
"""

from __future__ import annotations

import ctypes
import gc

import torch

# The texts of torch's CPU allocator.
_CPU_TEXTS = ("can't allocate memory", "not enough memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether smaller batches may help."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _CPU_TEXTS)


def release() -> None:
    """Hand back what an attempt has left, so that the next one has room."""
    gc.collect()
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):  # glibc keeps what was freed; other systems hand it back
        libc.malloc_trim(0)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
