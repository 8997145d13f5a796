"""A stand-in for CUDA graphs on a CPU: it replays the same calls on the same tensors.

It refuses what a capture refuses (reading a value back, drawing random numbers), its
outputs are overwritten by the next replay, it reads weights where they were when it captured,
and it counts memory, so that the code around CUDA graphs can be wrong here in the ways in which
it can be wrong there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from turbo_lab.runtime.graphs import Tensors

# Operators that read a tensor's value, or depend on one: a stream that captures cannot run them.
_READ = {"_local_scalar_dense", "is_nonzero", "nonzero", "item", "equal", "masked_select"}
# Operators that draw from the CPU's generator, which a graph cannot.
_RANDOM = {"rand", "randn", "randint", "randperm", "normal_", "uniform_", "bernoulli_"}


class _Reads(TorchDispatchMode):
    """Notes where the tensors are that were there before: weights, and a graph's inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.places: set[int] = set()
        self._made: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        self.places |= _places((args, kwargs)) - self._made
        result = func(*args, **(kwargs or {}))
        self._made |= _places(result) - self.places
        return result


class _Capture(_Reads):
    """Also refuses what a stream that captures refuses."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        name = func.overloadpacket.__name__
        if name in _READ | _RANDOM:
            raise RuntimeError(f"operation not permitted when stream is capturing: {name}")
        return super().__torch_dispatch__(func, types, args, kwargs)


def _places(values: Any) -> set[int]:
    tensors = [one for one in tree_leaves(values) if isinstance(one, torch.Tensor)]
    return {one.untyped_storage().data_ptr() for one in tensors}


@dataclass
class ReplayedCalls:
    """A backend whose graphs call the captured function again."""

    free: int = 1 << 30
    """Memory that there is, in bytes."""
    graph_bytes: int = 1 << 20
    """Memory that each capture takes."""
    out_of_memory_at: int | None = None
    """Capture, from 0, that runs out of memory."""
    replays: int = 0
    """Number of replays so far."""
    captured: list[Tensors] = field(default_factory=list)
    """Outputs of each capture."""
    change_output: Callable[[torch.Tensor], None] = lambda output: None
    """Called with each output of a replay."""

    def warm_up(self, call: Callable[[], Tensors]) -> Tensors:
        """Call once."""
        return call()

    def capture(self, call: Callable[[], Tensors]) -> tuple[Callable[[], object], Tensors]:
        """Call once under a capture's restrictions; the replay calls again."""
        if self.out_of_memory_at == len(self.captured):
            raise torch.OutOfMemoryError("CUDA out of memory")
        with _Capture() as capture:
            outputs = tuple(output.clone() for output in call())
        self.captured.append(outputs)

        def replay() -> None:
            self.replays += 1
            with _Reads() as reads:  # a mode may choose other kernels: only the places count
                call()
            assert reads.places <= capture.places, "a graph would read where a weight was before"
            for kept, new in zip(outputs, call(), strict=True):
                kept.copy_(new)
                self.change_output(kept)

        return replay, outputs

    def used_bytes(self) -> int:
        """Count a fixed size per capture."""
        return len(self.captured) * self.graph_bytes

    def free_bytes(self) -> int:
        """Return the memory that is left."""
        return self.free
