"""A stand-in for CUDA graphs on a CPU: it replays the same calls on the same tensors.

It refuses what a capture refuses (reading a value back, drawing random numbers), its
outputs are overwritten by the next replay, and it counts memory, so that the code
around CUDA graphs can be wrong here in the ways in which it can be wrong there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from turbo_lab.runtime.graphs import Tensors

# Operators that read a tensor's value, or depend on one: a stream that captures cannot run them.
_READ = {"_local_scalar_dense", "is_nonzero", "nonzero", "item", "equal", "masked_select"}
# Operators that draw from the CPU's generator, which a graph cannot.
_RANDOM = {"rand", "randn", "randint", "randperm", "normal_", "uniform_", "bernoulli_"}


class _Capture(TorchDispatchMode):
    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        name = func.overloadpacket.__name__
        if name in _READ | _RANDOM:
            raise RuntimeError(f"operation not permitted when stream is capturing: {name}")
        return func(*args, **(kwargs or {}))


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
        with _Capture():
            outputs = tuple(output.clone() for output in call())
        self.captured.append(outputs)

        def replay() -> None:
            self.replays += 1
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
