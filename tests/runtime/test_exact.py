"""``loop=exact``: the stock call's bits, by fewer detours; with a stand-in for CUDA graphs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.runtime.graph_stand_in import ReplayedCalls
from tests.runtime.tiny import scheduler_json
from tests.tiny_sdxl import save_tiny_sdxl
from turbo_lab.cards import ModelSource
from turbo_lab.config import compose
from turbo_lab.errors import InputError
from turbo_lab.execute.worker import Worker, worker_for
from turbo_lab.planning.resolved_sweep import ResolvedSweep, resolve_points
from turbo_lab.planning.work import WorkDone
from turbo_lab.request.pipeline import PipelineKeys
from turbo_lab.request.recipe import Batch, Layout, Recipe
from turbo_lab.request.request import SCHEDULERS
from turbo_lab.runtime.determinism import image_lane
from turbo_lab.runtime.exact import ExactStages
from turbo_lab.runtime.graphs import GraphPool, Tensors
from turbo_lab.runtime.pipeline import load_pipeline, make_scheduler
from turbo_lab.runtime.proof import prove
from turbo_lab.runtime.sampler import Sampler, SharedWork
from turbo_lab.runtime.seams import SWEEP_SEAMS
from turbo_lab.runtime.stock import stock_arguments

CPU = torch.device("cpu")
LAYOUT = Layout(("a red apple", "b", "c <&> d"), (1, 2, 3))
EULER_A = "EulerAncestralDiscreteScheduler"
NANO = ("num_images=2", "batch_size=2", "num_threads=1", "tracking=none", "store=store")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_sdxl(tmp_path_factory.mktemp("tiny"))


def exact_stages(
    folder: Path, dtype: str = "float32", graphs: GraphPool | None = None
) -> ExactStages:
    pipeline = load_pipeline(ModelSource(folder), scheduler_json(folder, EULER_A), dtype, CPU)
    return ExactStages(pipeline, CPU, graphs)


def make_batch(
    folder: Path,
    scheduler: str = EULER_A,
    layout: Layout = LAYOUT,
    guidance: float = 0.0,
    steps: int = 2,
    dtype: str = "float32",
    negative: str | None = None,
) -> Batch:
    digest = None if negative is None else f"digest of {negative}"
    recipe = Recipe(
        "m", scheduler_json(folder, scheduler), (), steps, guidance, digest, 64, 64, dtype, ()
    )
    return Batch(recipe, layout)


def stock(stages: ExactStages, batch: Batch, negative: str | None) -> np.ndarray:
    """The batch by ``StableDiffusionXLPipeline.__call__``, on the pipeline as it was loaded."""
    stages.pipeline.scheduler = make_scheduler(batch.recipe.scheduler)
    with stages.as_loaded():
        pictures = stages.pipeline(**stock_arguments(batch, negative, SWEEP_SEAMS)).images
    return np.stack([np.asarray(picture) for picture in pictures])


def sampler_of(stages: ExactStages) -> Sampler:
    return Sampler(stages.pipeline, stages.device, WorkDone(), stages=stages)


@pytest.mark.parametrize("with_graphs", [False, True])
@pytest.mark.parametrize("name", SCHEDULERS)
def test_every_scheduler_keeps_the_bits(folder: Path, name: str, with_graphs: bool) -> None:
    stages = exact_stages(folder, graphs=GraphPool(ReplayedCalls()) if with_graphs else None)
    sampler = sampler_of(stages)
    with image_lane(1):
        for guidance, negative in ((0.0, None), (2.0, None), (2.0, "blurry")):
            batch = make_batch(folder, name, guidance=guidance, negative=negative, steps=3)
            wanted = stock(stages, batch, negative)
            for _ in range(2):  # the second uploads all noise at once
                assert np.array_equal(sampler.run_alone(batch, negative), wanted), guidance
            assert np.array_equal(sampler.run(batch, negative, SharedWork()), wanted)
    if stages.graphs is not None:
        assert stages.graphs.num_graphs == 4, "text; UNet with and without guidance; VAE"
        assert not stages.graphs.differing


def test_the_vae_stays_in_the_type_in_which_it_decodes(folder: Path) -> None:
    stages = exact_stages(folder, "float16")
    assert stages.pipeline.vae.dtype == torch.float32
    with stages.as_loaded():
        assert stages.pipeline.vae.dtype == torch.float16
    assert stages.pipeline.vae.dtype == torch.float32


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_a_proof_leaves_every_weight_where_graphs_read_it(folder: Path, dtype: str) -> None:
    stages = exact_stages(folder, dtype, graphs=GraphPool(ReplayedCalls()))
    pipeline = stages.pipeline

    def places() -> list[int]:
        parts = (pipeline.unet, pipeline.vae, pipeline.text_encoder, pipeline.text_encoder_2)
        return [own.data_ptr() for part in parts for own in (*part.parameters(), *part.buffers())]

    before = places()
    with image_lane(1):
        for lane in range(2):
            prove(stages, make_batch(folder, dtype=dtype), None)
            assert places() == before, lane
    assert not stages.given_back


def nano(*overrides: str, backend: ReplayedCalls | None = None) -> tuple[Worker, ResolvedSweep]:
    """A worker for a sweep of nano-turbo, its graphs captured by a stand-in."""
    sweep = resolve_points(compose("sweep", [*NANO, *overrides]))
    worker = worker_for(sweep)
    if backend is not None:
        worker.resident.graph_backend = lambda device: backend
    return worker, sweep


def draw(worker: Worker, sweep: ResolvedSweep, cell: int = 0) -> Any:
    batch = sweep.cells[cell].batches[0]
    worker.prepare(batch.recipe)
    worker.new_group()
    return worker.run(batch, sweep.cells[cell].negative_prompt)


def test_a_sweep_shows_that_the_pixels_are_the_same_with_and_without_a_lora() -> None:
    worker, sweep = nano("pipeline=stock,exact", "lora=none,ink@0.7", "guidance_scale=0,2")
    images: dict[tuple[Any, ...], list[np.ndarray]] = {}
    for index, cell in enumerate(sweep.cells):
        axes = dict(cell.axes)
        key = (axes["lora"], axes["guidance_scale"])
        images.setdefault(key, []).append(draw(worker, sweep, index).pixels)
    assert len(images) == 4
    assert all(np.array_equal(stock, exact) for stock, exact in images.values())


def test_graphs_are_dropped_with_the_adapters_that_they_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(PipelineKeys, "check", lambda *_, **__: None)
    words = ("pipeline=exact", "graphs=cuda", "lora=none,ink@1")
    worker, sweep = nano(*words, backend=ReplayedCalls())
    plain = [draw(worker, sweep, cell).pixels for cell in (0, 1, 0)]
    assert np.array_equal(plain[0], plain[2]) and not np.array_equal(plain[0], plain[1])
    assert worker.resident.exact is not None and worker.resident.exact.graphs is not None
    assert worker.resident.exact.graphs.num_graphs == 3, "those of the last weights"
    assert np.array_equal(plain[1], draw(*nano("lora=ink@1")).pixels)


def test_another_shape_is_captured_for_itself_and_keeps_its_bits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(PipelineKeys, "check", lambda *_, **__: None)
    grid = ("resolution=64,128x64", "batch_size=2,1")
    worker, sweep = nano("pipeline=exact", "graphs=cuda", *grid, backend=ReplayedCalls())
    drawn = [draw(worker, sweep, cell).pixels for cell in range(4)]
    exact = worker.resident.exact
    assert exact is not None and exact.graphs is not None
    # Per batch size: text; per size as well: UNet and VAE.
    assert exact.graphs.num_graphs == 2 + 2 * 4 and not exact.given_back
    stock, sweep = nano(*grid)
    for cell, pixels in enumerate(drawn):
        assert np.array_equal(pixels, draw(stock, sweep, cell).pixels)


def test_timing_is_of_the_exact_loop_and_splits_into_its_stages() -> None:
    worker, sweep = nano("pipeline=exact")
    cell = sweep.cells[0]
    worker.prepare(cell.recipe)
    timing = worker.time_cell(cell, "short", sweep.fingerprint)
    assert timing.stages_s is not None
    assert all(timing.stages_s[stage] > 0 for stage in ("text", "unet", "vae", "post"))
    assert sum(timing.stages_s.values()) == pytest.approx(timing.latency_s.mean)
    assert "loop=exact" not in " ".join(timing.warnings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker.resident.pipeline, "encode_prompt", None)
        worker.timed_call(cell)()  # the stock call's parts are not used


def test_a_timing_says_how_much_memory_its_graphs_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PipelineKeys, "check", lambda *_, **__: None)
    worker, sweep = nano("pipeline=exact", "graphs=cuda", backend=ReplayedCalls(graph_bytes=100))
    cell = sweep.cells[0]
    worker.prepare(cell.recipe)
    timing = worker.time_cell(cell, "short", sweep.fingerprint)
    assert timing.graph_pool_bytes == 300, "text, UNet and VAE"
    assert timing.compile_s is None
    plain, sweep = nano("pipeline=exact")
    plain.prepare(sweep.cells[0].recipe)
    assert plain.time_cell(cell, "short", sweep.fingerprint).graph_pool_bytes is None


def test_a_capture_that_runs_out_of_memory_fails_the_cell_or_halves_the_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(PipelineKeys, "check", lambda *_, **__: None)
    words = ("pipeline=exact", "graphs=cuda")
    worker, sweep = nano(*words, backend=ReplayedCalls(out_of_memory_at=1))
    with pytest.raises(InputError, match="take a smaller batch_size, or graphs=none"):
        draw(worker, sweep)
    worker, sweep = nano(*words, "on_out_of_memory=split", backend=OneRowOnly())
    drawn = draw(worker, sweep)
    assert drawn.split and drawn.notes == ("out of memory at 2 images: drawn as 1+1",)


class OneRowOnly(ReplayedCalls):
    """A device that captures calls of one row only."""

    def capture(self, call: Callable[[], Tensors]) -> tuple[Callable[[], object], Tensors]:
        if len(call()[0]) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().capture(call)


@pytest.mark.gpu
def test_cuda_graphs_keep_every_bit(folder: Path) -> None:
    from turbo_lab.runtime.graphs import CudaGraphs

    device = torch.device("cuda")
    for dtype in ("float32", "float16", "bfloat16"):
        pipeline = load_pipeline(
            ModelSource(folder), scheduler_json(folder, EULER_A), dtype, device
        )
        graphs = GraphPool(CudaGraphs(device))
        stages = ExactStages(pipeline, device, graphs)
        batch = make_batch(folder, guidance=2.0, dtype=dtype)
        prove(stages, batch, None)
        with image_lane(1):
            prove(stages, batch, None)
        assert not stages.given_back and not graphs.differing
        assert graphs.num_graphs == 6 and graphs.num_bytes > 0
        wanted = stock(stages, batch, None)
        for num_captured in (6, 9):  # by the graphs of before the last proofs, then by new ones
            assert np.array_equal(sampler_of(stages).run_alone(batch, None), wanted)
            assert graphs.num_captured == num_captured and not graphs.refused
            stages.weights_changed()
