"""Changes to the pipeline itself: another VAE, a compiled UNet. Each is other work, and says so."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from turbo_lab.api.sides import compose_side
from turbo_lab.cards import WEIGHTS, locate_adapter, locate_vae
from turbo_lab.cli.main import main
from turbo_lab.environment import ABSENT
from turbo_lab.errors import InputError, MissingFilesError
from turbo_lab.execute.worker import Worker, worker_for
from turbo_lab.planning.resolved_sweep import ResolvedSweep
from turbo_lab.request.recipe import Layout, Recipe
from turbo_lab.runtime.compilation import Compilation
from turbo_lab.runtime.noise import image_generators
from turbo_lab.runtime.stage_clock import StageClock
from turbo_lab.workflows.reproduce import drawing_of_png, reproduce

SMALL = (
    "num_images=2",
    "batch_size=2",
    "num_threads=1",
    "num_inference_steps=2",
    "tracking=none",
    "store=store",
)


@pytest.fixture
def other_vae(tmp_path: Path) -> Path:
    """The shipped one with its last layer at nine tenths."""
    folder = tmp_path / "other-vae"
    shutil.copytree(WEIGHTS / "nano-vae", folder)
    file = folder / "diffusion_pytorch_model.safetensors"
    weights = load_file(str(file))
    weights["decoder.conv_out.weight"] *= 0.9
    save_file(weights, str(file), metadata={"format": "pt"})
    return folder


def drawn(*overrides: str) -> np.ndarray:
    sweep = compose_side("sweep", "candidate", [*SMALL, *overrides])
    worker = worker_for(sweep)
    batch = sweep.cells[0].batches[0]
    worker.prepare(batch.recipe)
    worker.new_group()
    return worker.run(batch, None).pixels


def test_another_vae_decodes_and_the_models_own_by_name_changes_nothing(other_vae: Path) -> None:
    own = drawn()
    assert np.array_equal(drawn("vae=nano-vae"), own)
    other = drawn(f"vae={other_vae}")
    assert 1 < np.abs(other.astype(int) - own).mean() < 40


def test_each_variant_is_a_cell_of_its_own(other_vae: Path) -> None:
    ids = {
        compose_side("sweep", "candidate", [*SMALL, *words]).cells[0].cell_id
        for words in ((), ("vae=nano-vae",), (f"vae={other_vae}",), ("compile=default",))
    }
    assert len(ids) == 4


def test_a_vae_of_another_family_is_refused(tmp_path: Path) -> None:
    # Its latents have other channels.
    from diffusers import AutoencoderKL

    wide = AutoencoderKL(latent_channels=8, block_out_channels=(32,), norm_num_groups=8)
    wide.save_pretrained(tmp_path / "wide")
    with pytest.raises(InputError, match="has latents of 8 channels, the UNet's have 4"):
        drawn(f"vae={tmp_path / 'wide'}")


def test_a_sweep_over_vaes_records_each_and_its_images_are_reproduced(
    tmp_path: Path,
    other_vae: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [*SMALL, "timing=off", "metrics=none", f"vae=null,{other_vae}", "--json"]
    assert main(["sweep", *words]) == 0
    cells = json.loads(capsys.readouterr().out)["cells"]
    assert [cell["axes"]["vae"] for cell in cells] == [None, str(other_vae)]
    assert list(cells[0]["provenance"]["models"]) == ["nano-turbo"]
    about: dict[str, Any] = cells[1]["provenance"]["models"][str(other_vae)]
    assert about["digest"] == locate_vae(str(other_vae)).digest
    png = Path(cells[1]["images"][0]["path"])
    assert reproduce(drawing_of_png(png), "cpu", 1).identical
    weights = other_vae / "diffusion_pytorch_model.safetensors"
    shutil.copy(WEIGHTS / "nano-vae" / weights.name, weights)
    with pytest.raises(MissingFilesError, match="its VAE .* was .* here it is"):
        reproduce(drawing_of_png(png), "cpu", 1)


def traced(*overrides: str) -> tuple[Worker, ResolvedSweep]:
    """A worker whose UNet is compiled by a backend that only traces: as torch.compile calls it."""
    sweep = compose_side("sweep", "candidate", [*SMALL, *overrides])
    worker = worker_for(sweep)
    worker.prepare(sweep.cells[0].recipe)
    Compilation().apply(worker.resident.pipeline, "unet", backend="eager")
    return worker, sweep


@pytest.mark.slow
def test_timing_a_compiled_unet_compiles_nothing_again() -> None:
    """A clock inside what is compiled would be traced, and its marks be guarded, at each call."""
    worker, sweep = traced()
    call = worker.timed_call(sweep.cells[0])
    counters = torch._dynamo.utils.counters["stats"]
    with worker.thread_count(), StageClock(worker.resident.pipeline, "cpu") as stages:
        call()
        before = counters["unique_graphs"]
        for _ in range(3):
            call()
    assert counters["unique_graphs"] == before
    assert stages.unet_steps(4) is not None and len(stages.unet_steps(4)) == 2
    # Outside a call torch's own limits are the user's.
    assert not torch._dynamo.config.fail_on_recompile_limit_hit


@pytest.mark.slow
def test_a_compiled_unet_takes_adapters_and_gives_them_back() -> None:
    worker, sweep = traced()
    batch = sweep.cells[0].batches[0]
    styled = compose_side("sweep", "candidate", [*SMALL, "lora=ink@1"]).cells[0].recipe
    adapters = {digest: ("ink", locate_adapter("ink").path) for digest, _ in styled.lora}
    worker.resident.weights = dataclasses.replace(worker.resident.weights, adapters=adapters)

    def images(recipe: Recipe) -> np.ndarray:
        worker.prepare(recipe)
        worker.new_group()
        return worker.run(dataclasses.replace(batch, recipe=recipe), None).pixels

    plain = images(batch.recipe)
    assert np.array_equal(images(styled), drawn("lora=ink@1"))
    assert np.array_equal(images(batch.recipe), plain)


@pytest.mark.slow
def test_past_the_limit_of_shapes_is_an_error_of_that_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("turbo_lab.runtime.compilation._MAX_SHAPES", 1)
    worker, sweep = traced()
    batch = sweep.cells[0].batches[0]
    worker.new_group()
    worker.run(batch, None)
    one = Layout(batch.layout.prompts[:1], batch.layout.seeds[:1])
    with pytest.raises(InputError, match="was compiled for 1 batches, sizes and adapters"):
        worker.run(dataclasses.replace(batch, layout=one), None)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["int8wo", "int8dq", "float8wo"])
def test_a_quantised_unet_draws_nearly_the_same_and_takes_adapters(name: str) -> None:
    own, quantised = drawn(), drawn(f"quantization={name}")
    assert 0 < np.abs(quantised.astype(int) - own).mean() < 4
    assert np.array_equal(drawn(f"quantization={name}"), quantised)
    styled = drawn(f"quantization={name}", "lora=ink@1")
    assert np.abs(styled.astype(int) - drawn("lora=ink@1")).mean() < 8
    assert np.abs(styled.astype(int) - quantised).mean() > 10


def test_quantisation_is_known_by_its_kind_and_torchaos_version(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def recipe(*words: str) -> tuple[tuple[str, str], ...]:
        return compose_side("sweep", "candidate", [*SMALL, *words]).cells[0].recipe.variant

    [(key, value)] = recipe("quantization=int8wo")
    assert key == "quantization" and re.fullmatch(r"int8wo torchao \d+\.\d+.*", value)
    monkeypatch.setattr("turbo_lab.request.resolve.package_version", lambda name: "99.0")
    assert recipe("quantization=int8wo") == (("quantization", "int8wo torchao 99.0"),)
    monkeypatch.setattr("turbo_lab.request.resolve.package_version", lambda name: ABSENT)
    with pytest.raises(MissingFilesError, match=r"pip install 'turbo-lab\[quantize\]'"):
        recipe("quantization=int8wo")
    assert recipe() == ()


def test_weights_of_another_torchao_and_half_on_a_cpu_are_refused() -> None:
    with pytest.raises(InputError, match="dtype=float16 gives other pictures on a CPU"):
        drawn("quantization=int8wo", "dtype=float16")
    sweep = compose_side("sweep", "candidate", [*SMALL, "quantization=int8wo"])
    recipe = sweep.cells[0].recipe
    other = dataclasses.replace(recipe, variant=(("quantization", "int8wo torchao 0.1"),))
    with pytest.raises(MissingFilesError, match=r"pip install torchao==0\.1"):
        worker_for(sweep).prepare(other)


@pytest.mark.slow
def test_a_compiled_unet_shares_its_work_to_the_bit() -> None:
    """Compiled once: alone through the stock call, and after other cells through ours."""
    sweep = compose_side("sweep", "candidate", [*SMALL, "compile=default"])
    worker = worker_for(sweep)
    batch = sweep.cells[0].batches[0]
    before = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    worker.prepare(batch.recipe)
    worker.new_group()
    with worker.image_lane():
        first = worker.run(batch, None).pixels
        again = worker.run(batch, None).pixels  # its first evaluation is there already
        pipeline = worker.resident.pipeline
        stock = pipeline(
            prompt=list(batch.layout.prompts),
            num_inference_steps=2,
            guidance_scale=0.0,
            width=64,
            height=64,
            generator=image_generators(batch.layout.seeds),
        ).images
    assert np.array_equal(first, again)
    assert np.array_equal(first, np.stack([np.asarray(image) for image in stock]))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > before
    eager = drawn()
    apart = np.abs(first.astype(int) - eager)
    assert apart.max() <= 8  # other sums, the same picture
