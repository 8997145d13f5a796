"""The pool of graphs: one per shape and setting, bounded, checked against the eager call."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from tests.runtime.graph_stand_in import ReplayedCalls
from turbo_lab.errors import InputError
from turbo_lab.runtime.determinism import image_lane
from turbo_lab.runtime.graphs import Graph, GraphMemoryError, GraphPool, Tensors, same_bits
from turbo_lab.runtime.memory import is_out_of_memory


def double(tensor: torch.Tensor, other: torch.Tensor) -> Tensors:
    return (tensor * 2 + other,)


def pool(backend: ReplayedCalls | None = None, **bounds: int) -> GraphPool:
    return GraphPool(backend or ReplayedCalls(), **bounds)


def test_a_graph_is_captured_once_per_shape_and_replayed_with_new_values() -> None:
    graphs, one = pool(), torch.ones(2, 3)
    for value in (1.0, 2.0, 3.0):
        assert torch.equal(graphs.call("unet", double, one * value, one)[0], one * value * 2 + 1)
    assert (graphs.num_graphs, graphs.num_captured) == (1, 1)
    graphs.call("unet", double, torch.ones(4, 3), torch.ones(4, 3))
    graphs.call("unet", double, one.double(), one.double())
    graphs.call("vae", double, one, one)
    assert graphs.num_graphs == 4


def test_a_result_outlives_the_next_replay() -> None:
    graphs, one = pool(), torch.ones(2)
    first = graphs.call("unet", double, one, one)[0]
    graphs.call("unet", double, one * 5, one)
    assert torch.equal(first, torch.full((2,), 3.0))


def test_settings_that_choose_other_kernels_have_a_graph_of_their_own() -> None:
    graphs, one = pool(), torch.ones(2)
    graphs.call("unet", double, one, one)
    with image_lane(1):
        graphs.call("unet", double, one, one)
        graphs.call("unet", double, one, one)
    assert graphs.num_captured == 2


def test_another_memory_format_has_a_graph_of_its_own() -> None:
    graphs, image = pool(), torch.ones(1, 2, 4, 4)
    graphs.call("vae", double, image, image)
    last = image.to(memory_format=torch.channels_last)
    assert graphs.call("vae", double, last, last)[0].is_contiguous(
        memory_format=torch.channels_last
    )
    assert graphs.num_graphs == 2


def test_a_replay_with_other_bits_is_never_used_and_is_told() -> None:
    backend = ReplayedCalls(change_output=lambda output: output.add_(1e-6))
    graphs, one = pool(backend), torch.ones(2)
    assert torch.equal(graphs.call("unet", double, one, one)[0], one * 3)
    assert torch.equal(graphs.call("unet", double, one * 2, one)[0], one * 5)
    assert list(graphs.differing) == ["unet"]
    assert backend.replays == 1, "only the one that was compared"


def test_what_cannot_be_captured_is_called_eagerly_with_a_reason() -> None:
    """A value that is read back, and random numbers; the other stages keep their graphs."""
    calls: list[int] = []

    def reads(tensor: torch.Tensor) -> Tensors:
        calls.append(1)
        return (tensor * tensor.max().item(),)

    graphs, two = pool(), torch.full((2,), 2.0)
    for _ in range(3):
        assert torch.equal(graphs.call("text", reads, two)[0], two * 2)
    assert len(calls) == 2 + 3, "it is captured once, after it has run once"
    graphs.call("unet", double, two, two)
    graphs.call("vae", lambda given: (given + torch.randn(2),), two)
    assert {name: text.partition(":")[0] for name, text in graphs.refused.items()} == {
        "text": "operation not permitted when stream is capturing",
        "vae": "operation not permitted when stream is capturing",
    }
    assert (graphs.num_graphs, graphs.num_captured) == (1, 1)


def test_the_reason_is_what_failed_first_and_not_how_the_capture_ended() -> None:
    class Ended(ReplayedCalls):
        def capture(self, call: Callable[[], Tensors]) -> tuple[Callable[[], object], Tensors]:
            try:
                raise RuntimeError("CUDA error: not permitted\nSearch for `cudaError...`")
            finally:
                raise RuntimeError("CUDA error: due to a previous error during capture")

    graphs = pool(Ended())
    graphs.call("unet", double, torch.ones(2), torch.ones(2))
    assert graphs.refused == {"unet": "CUDA error: not permitted"}


def test_an_error_of_the_call_itself_is_no_matter_of_graphs() -> None:
    with pytest.raises(RuntimeError, match="shape"):
        pool().call("unet", lambda given: (given.reshape(3),), torch.ones(2))


def test_a_shape_that_changes_under_a_graph_is_refused() -> None:
    graph = Graph("unet", (torch.ones(2),), (torch.ones(2),), lambda: None, 0)
    with pytest.raises(ValueError, match="captured for 2 float32, called with 3 float32"):
        graph.run([torch.ones(3)])


def test_the_graph_used_longest_ago_goes_first() -> None:
    graphs = pool(max_graphs=2)
    shapes = [torch.ones(n) for n in (1, 2, 3)]
    for given in (shapes[0], shapes[1], shapes[0], shapes[2], shapes[0]):
        graphs.call("unet", double, given, given)
    assert (graphs.num_graphs, graphs.num_captured) == (2, 3)


def test_the_pool_makes_room_when_it_would_be_too_large() -> None:
    graphs = pool(ReplayedCalls(graph_bytes=100), max_bytes=250)
    for rows in (1, 2):
        graphs.call("unet", double, torch.ones(rows), torch.ones(rows))
    assert graphs.num_bytes == 200
    graphs.call("unet", double, torch.ones(3), torch.ones(3))
    assert (graphs.num_bytes, graphs.num_graphs) == (100, 1)


def test_a_graph_that_does_not_fit_alone_is_refused_in_one_line() -> None:
    graphs = pool(ReplayedCalls(free=2 << 20, graph_bytes=8 << 20))
    with pytest.raises(InputError) as caught:
        graphs.call("vae", double, torch.ones(2, 3), torch.ones(2, 3))
    assert str(caught.value) == (
        "graphs=cuda: no memory to capture the vae for 2x3 float32 (its graph takes 8 MiB, the "
        "pool 1 MiB); take a smaller batch_size, or graphs=none"
    )
    assert graphs.num_graphs == 0


def test_out_of_memory_in_a_capture_is_one_line_and_counts_as_out_of_memory() -> None:
    graphs = pool(ReplayedCalls(out_of_memory_at=1))
    graphs.call("unet", double, torch.ones(2), torch.ones(2))
    with pytest.raises(GraphMemoryError, match="the device is out of memory") as caught:
        graphs.call("unet", double, torch.ones(3), torch.ones(3))
    assert is_out_of_memory(caught.value), "so that on_out_of_memory=split draws halves"
    assert graphs.num_graphs == 0, "its memory is given back"


def test_same_bits_tells_zeros_apart_and_nan_equal() -> None:
    nan, zero = torch.tensor([float("nan")]), torch.tensor([0.0])
    assert same_bits(nan, nan.clone()) and not same_bits(zero, -zero)
    assert not same_bits(zero, zero.double()) and not same_bits(zero, torch.zeros(2))
    half = torch.tensor([1.0, 2.0], dtype=torch.float16)
    assert same_bits(half, half.clone())
    image = torch.arange(16.0).reshape(1, 2, 2, 4)
    assert same_bits(image, image.to(memory_format=torch.channels_last)), "a layout is no value"
