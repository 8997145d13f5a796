"""CUDA graphs: the kernels of a call, captured once per shape and replayed by one launch.

Owns the pool of captured graphs, its bounds, and the check that a replay has the
bits of the eager call. Capturing itself is behind :class:`GraphBackend`, so that
all else runs, and is tested, without a GPU.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import torch

from turbo_lab.errors import InputError
from turbo_lab.runtime.determinism import numeric_settings
from turbo_lab.runtime.memory import is_out_of_memory, release

Tensors = tuple[torch.Tensor, ...]
Call = Callable[..., Tensors]
"""A call on tensors of fixed shapes that neither waits for the device nor draws random numbers."""

MAX_GRAPHS = 32
"""Most graphs of one pool: each also takes driver memory for its kernels."""
_POOL_SHARE = 0.5


class GraphMemoryError(InputError, MemoryError):
    """Raised where a graph does not fit; counts as out of memory, so that a batch may be split."""


class GraphBackend(Protocol):
    """A device that can capture and replay calls."""

    def warm_up(self, call: Callable[[], Tensors]) -> Tensors:
        """Run ``call`` once as usual, away from the capture, and return what it returned."""

    def capture(self, call: Callable[[], Tensors]) -> tuple[Callable[[], object], Tensors]:
        """Record ``call``; return its replay, and the tensors that every replay writes to.

        If it fails, the next capture works as if there had been none.
        """

    def used_bytes(self) -> int:
        """Return the device memory in use, graphs included."""

    def free_bytes(self) -> int:
        """Return the device memory that is left."""


class CudaGraphs:
    """Graphs of one CUDA device. All share one memory pool: no two of them run at once."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        # One stream for warming up and capturing: what cuBLAS allocates per stream is there before
        # a capture, and no part of a graph's memory.
        self._stream = torch.cuda.Stream(device)
        self._pool = torch.cuda.graph_pool_handle()
        self._live = weakref.WeakSet[torch.cuda.CUDAGraph]()
        self._failed: list[torch.cuda.CUDAGraph] = []

    def warm_up(self, call: Callable[[], Tensors]) -> Tensors:
        """Run ``call`` on a side stream, as capturing demands, and wait for it."""
        self._stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._stream):
            outputs = call()
        torch.cuda.current_stream(self._device).wait_stream(self._stream)
        torch.cuda.synchronize(self._device)
        return outputs

    def capture(self, call: Callable[[], Tensors]) -> tuple[Callable[[], object], Tensors]:
        """Record ``call`` into a graph of the shared pool."""
        if not self._live:  # torch refuses the handle of a pool that no graph uses any more
            self._pool = torch.cuda.graph_pool_handle()
        graph, current = torch.cuda.CUDAGraph(), torch.cuda.current_stream(self._device)
        try:
            with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
                outputs = call()
        except BaseException:
            # If ending a capture fails, torch leaves its stream current and its pool open, with a
            # pointer to the graph: neither pool nor graph may be used again, or go.
            torch.cuda.set_stream(current)
            graph.reset()
            self._failed.append(graph)
            self._pool = torch.cuda.graph_pool_handle()
            raise
        self._live.add(graph)
        return graph.replay, outputs

    def used_bytes(self) -> int:
        """Return the device memory in use by everyone, after unused blocks are returned."""
        torch.cuda.synchronize(self._device)
        torch.cuda.empty_cache()
        free, total = torch.cuda.mem_get_info(self._device)
        return total - free

    def free_bytes(self) -> int:
        """Return the device memory that is left."""
        return torch.cuda.mem_get_info(self._device)[0]


@dataclass(frozen=True)
class Graph:
    """A captured call with the tensors that it reads and writes."""

    name: str
    """Stage that is captured, for messages."""
    inputs: Tensors
    """Tensors that a replay reads."""
    outputs: Tensors
    """Tensors that a replay writes."""
    replay: Callable[[], object]
    """Runs the captured kernels."""
    num_bytes: int
    """Device memory that capturing took."""

    def run(self, inputs: Sequence[torch.Tensor]) -> Tensors:
        """Replay on ``inputs``, of the captured shapes; the result is the caller's to keep."""
        for mine, given in zip(self.inputs, inputs, strict=True):
            if (mine.shape, mine.dtype) != (given.shape, given.dtype):
                raise ValueError(
                    f"graph of the {self.name}: captured for {_shape(mine)}, "
                    f"called with {_shape(given)}"
                )
            mine.copy_(given)
        self.replay()
        # The next replay overwrites its outputs.
        return tuple(output.clone() for output in self.outputs)


@dataclass
class GraphPool:
    """Graphs of one resident pipeline, one per call, shape and numeric settings."""

    backend: GraphBackend
    """Device that captures."""
    max_graphs: int = MAX_GRAPHS
    """Most graphs kept; the one used longest ago goes first."""
    max_bytes: int | None = None
    """Most memory of all graphs; ``None``: half of what is free when the first is captured."""
    differing: dict[str, None] = field(default_factory=dict)
    """Stages of which a replay had other bits than the eager call: those are called eagerly."""
    refused: dict[str, str] = field(default_factory=dict)
    """Stages that cannot be captured, with the reason: those are called eagerly."""
    num_captured: int = 0
    """Graphs captured so far, dropped ones included."""
    _graphs: OrderedDict[Hashable, Graph | None] = field(default_factory=OrderedDict)

    @property
    def num_graphs(self) -> int:
        """Number of graphs that are kept."""
        return sum(graph is not None for graph in self._graphs.values())

    @property
    def num_bytes(self) -> int:
        """Device memory of the graphs that are kept."""
        return sum(graph.num_bytes for graph in self._graphs.values() if graph is not None)

    def clear(self) -> None:
        """Drop every graph: the weights that they read have changed, or their memory is needed."""
        self._graphs.clear()
        release()

    def call(self, name: str, call: Call, *inputs: torch.Tensor) -> Tensors:
        """Return ``call(*inputs)``, by a replay; a new shape is captured first.

        Raises :class:`GraphMemoryError` if its graph does not fit.
        """
        if name in self.refused:
            return call(*inputs)
        shapes = tuple((given.shape, given.dtype, given.stride()) for given in inputs)
        key = (name, numeric_settings(), shapes)
        if key not in self._graphs:
            self._make_room()
            self._graphs[key] = self._captured(name, call, inputs)
            self._require_fit(key, name, inputs)
        self._graphs.move_to_end(key)
        graph = self._graphs[key]
        return call(*inputs) if graph is None else graph.run(inputs)

    def _make_room(self) -> None:
        if self.max_bytes is None:
            self.max_bytes = int(_POOL_SHARE * self.backend.free_bytes())
        while len(self._graphs) >= self.max_graphs:
            self._graphs.popitem(last=False)

    def _captured(self, name: str, call: Call, inputs: Sequence[torch.Tensor]) -> Graph | None:
        """Capture a call and compare its replay with the eager call.

        ``None`` if bits differ, or if the call cannot be captured.
        """
        # Clones keep strides, and a graph's own inputs outlive those of this call.
        static = tuple(given.clone() for given in inputs)
        with self._memory_errors(name, inputs):
            eager = self.backend.warm_up(lambda: call(*static))
        before = self.backend.used_bytes()
        try:
            with self._memory_errors(name, inputs):
                replay, outputs = self.backend.capture(lambda: call(*static))
        except RuntimeError as error:  # the same call has just worked: capturing it does not
            self.refused[name] = _first_line(error)
            return None
        taken = max(0, self.backend.used_bytes() - before)
        self.num_captured += 1
        graph = Graph(name, static, outputs=outputs, replay=replay, num_bytes=taken)
        if all(same_bits(*pair) for pair in zip(graph.run(inputs), eager, strict=True)):
            return graph
        self.differing[name] = None
        return None

    @contextmanager
    def _memory_errors(self, name: str, inputs: Sequence[torch.Tensor]) -> Iterator[None]:
        """Drop every graph, and raise :class:`GraphMemoryError`, if memory runs out inside."""
        try:
            yield
        except (MemoryError, RuntimeError) as error:
            if not _is_from_memory(error):
                raise
            self.clear()
            raise _does_not_fit(name, inputs, "the device is out of memory") from error

    def _require_fit(self, key: Hashable, name: str, inputs: Sequence[torch.Tensor]) -> None:
        """Drop all other graphs if the newest one makes the pool too large; refuse it if alone."""
        assert self.max_bytes is not None
        if self.num_bytes <= self.max_bytes:
            return
        newest = self._graphs[key]
        assert newest is not None
        self.clear()
        if newest.num_bytes > self.max_bytes:
            raise _does_not_fit(
                name,
                inputs,
                f"its graph takes {newest.num_bytes >> 20} MiB, the pool "
                f"{self.max_bytes >> 20} MiB",
            )
        self._graphs[key] = newest


def same_bits(first: torch.Tensor, second: torch.Tensor) -> bool:
    """Return whether two tensors are equal to the bit: NaN equals itself, 0.0 differs from -0.0."""
    if (first.shape, first.dtype) != (second.shape, second.dtype):
        return False
    bits = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[first.element_size()]
    return torch.equal(first.contiguous().view(bits), second.contiguous().view(bits))


def _does_not_fit(name: str, inputs: Sequence[torch.Tensor], reason: str) -> GraphMemoryError:
    return GraphMemoryError(
        f"graphs=cuda: no memory to capture the {name} for {_shape(inputs[0])} ({reason}); "
        "take a smaller batch_size, or graphs=none"
    )


def _is_from_memory(error: BaseException) -> bool:
    """Return whether an error, or one in its chain of contexts, is a lack of memory.

    Ending a capture that failed raises another error; the cause is in its context.
    """
    cause: BaseException | None = error
    while cause is not None:
        if is_out_of_memory(cause):
            return True
        cause = cause.__context__
    return False


def _first_line(error: BaseException) -> str:
    """Return the first line of what made a capture fail: ending it only raises what follows."""
    while isinstance(error.__context__, RuntimeError):
        error = error.__context__
    return str(error).partition("\n")[0][:200]


def _shape(tensor: torch.Tensor) -> str:
    return f"{'x'.join(map(str, tensor.shape)) or 'a scalar'} {str(tensor.dtype)[6:]}"
