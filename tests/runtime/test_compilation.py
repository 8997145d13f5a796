"""Compiled parts: each scope, the limit on time, and what happens if compiling fails."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionXLPipeline

from tests.tiny_sdxl import save_tiny_sdxl
from turbo_lab.cards import ModelSource
from turbo_lab.config import compose
from turbo_lab.errors import InputError
from turbo_lab.execute.worker import worker_for
from turbo_lab.planning.resolved_sweep import resolve_points
from turbo_lab.runtime.compilation import Compilation
from turbo_lab.runtime.pipeline import load_pipeline

EULER = '{"_class_name": "EulerDiscreteScheduler"}'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_sdxl(tmp_path_factory.mktemp("tiny"))


def load(folder: Path) -> StableDiffusionXLPipeline:
    return load_pipeline(ModelSource(folder), EULER, "float32", torch.device("cpu"))


@torch.inference_mode()
def evaluate(pipeline: StableDiffusionXLPipeline) -> torch.Tensor:
    """One call of UNet and VAE."""
    torch.manual_seed(0)
    latents = pipeline.unet(
        torch.randn(1, 4, 8, 8),
        torch.tensor(999.0),
        encoder_hidden_states=torch.randn(1, 77, 32),
        added_cond_kwargs={"text_embeds": torch.randn(1, 16), "time_ids": torch.ones(1, 6)},
        return_dict=False,
    )[0]
    decoded: torch.Tensor = pipeline.vae.decode(latents, return_dict=False)[0]
    return decoded


class Backend:
    """A compiler that hands back what it was given, and counts."""

    def __init__(self, work: Callable[[], object] = lambda: None) -> None:
        self.graphs = 0
        self._work = work

    def __call__(self, graph: torch.fx.GraphModule, _: Any) -> Callable[..., Any]:
        self.graphs += 1
        self._work()
        return graph.forward


def busy(seconds: float) -> None:
    """Compute for a while, as a compiler does."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


@pytest.mark.slow
@pytest.mark.parametrize("scope", ["unet", "unet+vae", "repeated-blocks", "repeated-blocks+vae"])
def test_every_scope_compiles_and_keeps_what_it_computes(folder: Path, scope: str) -> None:
    pipeline, compilation, backend = load(folder), Compilation(), Backend()
    wanted = evaluate(pipeline)
    compilation.apply(pipeline, scope, backend=backend)
    assert torch.equal(evaluate(pipeline), wanted)
    compiled = backend.graphs
    assert torch.equal(evaluate(pipeline), wanted) and backend.graphs == compiled > 0
    assert compilation.seconds > 0 and not compilation.failed
    compilation.require()


@pytest.mark.slow
@pytest.mark.parametrize("scope", ["unet", "repeated-blocks"])
def test_a_compilation_that_fails_falls_back_and_says_so(
    folder: Path, scope: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise ValueError("no compiler here")

    pipeline, compilation = load(folder), Compilation()
    wanted = evaluate(pipeline)
    compilation.apply(pipeline, scope, backend=Backend(fail))
    assert torch.equal(evaluate(pipeline), wanted)
    assert torch.equal(evaluate(pipeline), wanted)
    (note,) = compilation.notes()
    assert note.startswith("compile=default: the UNet is not compiled (ValueError: no compiler")
    assert note in " ".join(capsys.readouterr().err.split())
    with pytest.raises(InputError, match="raise compile_limit_s, or use compile=none"):
        compilation.require()


@pytest.mark.slow
def test_a_compilation_past_its_limit_is_stopped(folder: Path) -> None:
    pipeline, compilation = load(folder), Compilation(limit_s=0.5)
    wanted = evaluate(pipeline)
    compilation.apply(pipeline, "unet", backend=Backend(lambda: busy(60)))
    assert torch.equal(evaluate(pipeline), wanted)
    assert compilation.notes() == (
        "compile=default: the UNet is not compiled (it took longer than 0.5 s); it is called "
        "eagerly",
    )
    assert torch.equal(evaluate(pipeline), wanted), "no interruption is left behind"


@pytest.mark.slow
def test_an_uncompiled_part_marks_the_timing_and_commits_no_image() -> None:
    words = [
        "num_images=2",
        "batch_size=2",
        "num_threads=1",
        "compile=default",
        "compile_limit_s=0.001",
    ]
    sweep = resolve_points(compose("sweep", words))
    worker, cell = worker_for(sweep), sweep.cells[0]
    worker.prepare(cell.recipe)
    timing = worker.time_cell(cell, "short", sweep.fingerprint)
    assert any("it took longer than 0.001 s" in text for text in timing.warnings)
    assert timing.compile_s is not None and 0 < timing.compile_s < timing.first_call_s
    worker.new_group()
    with pytest.raises(InputError, match="compile=default: the UNet is not compiled"):
        worker.run(cell.batches[0], None)
