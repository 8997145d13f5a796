"""What only a GPU shows: offloading, float8, TF32, its attention kernels, and its own graphs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from turbo_lab.config import compose
from turbo_lab.errors import InputError
from turbo_lab.execute.worker import Worker, worker_for
from turbo_lab.planning.resolved_sweep import ResolvedSweep, resolve_points
from turbo_lab.runtime.determinism import SDPA_BACKENDS, attention_order, image_lane, timing_lane
from turbo_lab.runtime.graphs import CudaGraphs, GraphPool

pytestmark = pytest.mark.gpu

DEVICE = "cuda"
WORDS = (
    "num_images=4",
    "batch_size=4",
    "num_threads=1",
    "num_inference_steps=2",
    "tracking=none",
    "store=store",
)


def worker(*overrides: str) -> tuple[Worker, ResolvedSweep]:
    """A worker for nano-turbo on the card, its weights loaded."""
    sweep = resolve_points(compose("sweep", [*WORDS, f"device={DEVICE}", *overrides]))
    found = worker_for(sweep)
    found.prepare(sweep.cells[0].recipe)
    return found, sweep


def drawn(*overrides: str) -> np.ndarray:
    found, sweep = worker(*overrides)
    found.new_group()
    return found.run(sweep.cells[0].batches[0], None).pixels


def apart(first: np.ndarray, second: np.ndarray) -> float:
    """Mean difference in levels of 255."""
    return float(np.abs(first.astype(int) - second).mean())


@pytest.mark.parametrize("offload", ["model", "sequential"])
def test_offloaded_weights_draw_the_same_pixels_with_a_note(offload: str) -> None:
    found, sweep = worker(f"offload={offload}")
    found.new_group()
    result = found.run(sweep.cells[0].batches[0], None)
    assert any("offloaded weights" in note for note in result.notes)
    assert np.array_equal(result.pixels, drawn())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["int8dq", "float8dq"])
def test_a_compiled_quantised_unet_draws_nearly_the_same(kind: str) -> None:
    if kind == "float8dq" and torch.cuda.get_device_capability() < (8, 9):
        pytest.skip("the card has no float8 products")
    words = (f"quantization={kind}", "compile=default", "dtype=bfloat16")
    pixels = drawn(*words)
    assert 0 < apart(pixels, drawn("dtype=bfloat16")) < 6
    assert np.array_equal(drawn(*words), pixels)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("attention", ["auto", "efficient", "math"])
def test_every_attention_repeats_its_bits_and_draws_the_same_picture(
    attention: str, dtype: str
) -> None:
    first = drawn(f"attention={attention}", f"dtype={dtype}")
    assert np.array_equal(drawn(f"attention={attention}", f"dtype={dtype}"), first)
    assert apart(first, drawn(f"dtype={dtype}")) < 1


def peak_of_one_head(order: object) -> int:
    """Memory of attention over 4,096 places with one head of 512, as in SDXL's VAE at 512x512."""
    states = torch.randn(1, 1, 4096, 512, device=DEVICE)
    with image_lane(1, order):  # type: ignore[arg-type]
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        first = scaled_dot_product_attention(states, states, states)
        peak = torch.cuda.max_memory_allocated() - before
        assert torch.equal(scaled_dot_product_attention(states, states, states), first)
    return int(peak)


def test_the_vaes_one_head_needs_no_score_matrix() -> None:
    scores = 4096 * 4096 * 4
    assert peak_of_one_head(SDPA_BACKENDS[DEVICE]) < scores / 2
    assert peak_of_one_head(attention_order("math", DEVICE)) > scores


def test_tf32_is_what_was_asked_for_and_repeats_its_bits() -> None:
    image = torch.randn(4, 64, 64, 64, device=DEVICE)
    weight = torch.randn(64, 64, 3, 3, device=DEVICE)

    def convolved(tf32: str) -> torch.Tensor:
        with image_lane(1, SDPA_BACKENDS[DEVICE], tf32):
            return torch.conv2d(image, weight)

    exact = torch.conv2d(image.cpu().double(), weight.cpu().double()).to(DEVICE)
    errors: Mapping[str, float] = {
        name: float((convolved(name) - exact).abs().max()) for name in ("auto", "convolutions")
    }
    if torch.cuda.get_device_capability() >= (8, 0):
        assert errors["convolutions"] > 10 * errors["auto"]
    for name in errors:
        assert torch.equal(convolved(name), convolved(name))


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("dtype=float16",),
        ("memory_format=channels_last",),
        ("attention=efficient", "tf32=convolutions"),
        ("fuse_qkv=true", "guidance_scale=2"),
    ],
)
def test_the_exact_preset_is_proved_with_every_key(words: tuple[str, ...]) -> None:
    found, sweep = worker("pipeline=exact", *words)
    cell = sweep.cells[0]
    found.new_group()
    assert np.array_equal(found.run(cell.batches[0], None).pixels, drawn(*words))
    timing = found.time_cell(cell, "short", sweep.fingerprint)
    exact = found.resident.exact
    assert exact is not None and exact.notes() == ()
    assert timing.graph_pool_bytes is not None and timing.graph_pool_bytes > 0


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["default", "reduce-overhead", "max-autotune"])
def test_a_compiled_unet_and_decoder_draw_the_same_picture_again_and_again(mode: str) -> None:
    found, sweep = worker(f"compile={mode}", "compile_scope=unet+vae", "pipeline=stock")
    batch = sweep.cells[0].batches[0]
    found.new_group()
    first = found.run(batch, None).pixels
    found.new_group()
    assert np.array_equal(found.run(batch, None).pixels, first), "its own graphs overwrite nothing"
    assert apart(first, drawn()) < 1
    assert found.resident.compilation is not None and found.resident.compilation.seconds > 0


def test_a_pool_that_is_too_small_refuses_a_real_graph() -> None:
    device = torch.device(DEVICE)
    graphs = GraphPool(CudaGraphs(device), max_bytes=1 << 20)
    large = torch.ones(64 << 20, device=device)
    with pytest.raises(InputError, match="take a smaller batch_size, or graphs=none"):
        graphs.call("unet", lambda given: (given * 2 + 1,), large)
    assert graphs.num_graphs == 0


def test_a_call_that_cannot_be_captured_leaves_room_for_the_next_one() -> None:
    graphs = GraphPool(CudaGraphs(torch.device(DEVICE)))
    two = torch.full((1 << 20,), 2.0, device=DEVICE)
    stream = torch.cuda.current_stream()
    for _ in range(2):
        (read,) = graphs.call("text", lambda given: (given * given.max().item(),), two)
        (product,) = graphs.call("unet", lambda given: (given @ given.T,), two.reshape(1024, -1))
    assert float(read[0]) == 4.0 and float(product[0, 0]) == 4096.0
    assert "captur" in graphs.refused["text"] and graphs.num_graphs == 1
    assert torch.cuda.current_stream() == stream


def test_pipelines_may_be_timed_before_the_first_image_is_drawn() -> None:
    """torch reads cuBLAS's setting at the first product of a process, so this one is fresh."""
    code = (
        "from tests.runtime.test_on_a_gpu import worker\n"
        "found, sweep = worker()\n"
        "found.time_cell(sweep.cells[0], 'short', sweep.fingerprint)\n"
        "found.new_group()\n"
        "assert found.run(sweep.cells[0].batches[0], None).pixels.any()\n"
    )
    environment = {k: v for k, v in os.environ.items() if k != "CUBLAS_WORKSPACE_CONFIG"}
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root, env=environment)


def test_the_timing_lane_leaves_tf32_to_torch_unless_it_is_named() -> None:
    with timing_lane("auto", "none", DEVICE):
        assert not torch.backends.cudnn.allow_tf32
    assert torch.backends.cudnn.allow_tf32
