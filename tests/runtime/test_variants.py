"""Changes to the pipeline itself: another VAE, a compiled UNet. Each is other work, and says so."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from turbo_lab.cards import WEIGHTS, locate_vae
from turbo_lab.cli import main
from turbo_lab.commands.sides import compose_side, worker_of
from turbo_lab.environment import ABSENT
from turbo_lab.errors import InputError, MissingFilesError
from turbo_lab.runtime.noise import image_generators
from turbo_lab.trials.reproduce import claim_of_png, reproduce

SMALL = ("num_images=2", "batch_size=2", "num_threads=1", "num_inference_steps=2",
         "tracking=none", "store=store")  # fmt: skip


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
    worker = worker_of(sweep)
    batch = sweep.cells[0].batches[0]
    worker.prepare(batch.recipe)
    worker.new_group()
    with worker.image_lane():
        return worker.run(batch, None)


def test_another_vae_decodes_and_the_models_own_by_name_changes_nothing(other_vae: Path) -> None:
    own = drawn()
    assert np.array_equal(drawn("vae=nano-vae"), own)
    other = drawn(f"vae={other_vae}")
    assert 1 < np.abs(other.astype(int) - own).mean() < 40


def test_a_vae_is_known_by_its_content(tmp_path: Path, other_vae: Path) -> None:
    moved = shutil.copytree(other_vae, tmp_path / "moved")
    shipped, other = locate_vae("nano-vae"), locate_vae(str(other_vae))
    assert other.digest == locate_vae(str(moved)).digest != shipped.digest
    assert (shipped.license, other.license) == ("Apache-2.0", "unknown")
    ids = {
        compose_side("sweep", "candidate", [*SMALL, *words]).cells[0].cell_id
        for words in ((), ("vae=nano-vae",), (f"vae={other_vae}",), ("compile=default",))
    }
    assert len(ids) == 4


def test_what_is_no_vae_is_refused(tmp_path: Path, other_vae: Path) -> None:
    with pytest.raises(MissingFilesError, match="vae=nowhere: there is no such folder"):
        locate_vae("nowhere")
    with pytest.raises(InputError, match="vae=nano-clip: is a judge"):
        locate_vae("nano-clip")
    config = other_vae / "config.json"
    config.unlink()
    with pytest.raises(MissingFilesError, match="lacks config.json"):
        locate_vae(str(other_vae))
    # Of another family: its latents have other channels.
    from diffusers import AutoencoderKL

    wide = AutoencoderKL(latent_channels=8, block_out_channels=(32,), norm_num_groups=8)
    wide.save_pretrained(tmp_path / "wide")
    with pytest.raises(InputError, match="has latents of 8 channels, the UNet's have 4"):
        drawn(f"vae={tmp_path / 'wide'}")


def test_a_sweep_over_vaes_records_each_and_its_images_are_reproduced(
    tmp_path: Path, other_vae: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    words = [*SMALL, "timing=off", "metrics=none", f"vae=null,{other_vae}", "--json"]
    assert main(["sweep", *words]) == 0
    cells = json.loads(capsys.readouterr().out)["cells"]
    assert [cell["axes"]["vae"] for cell in cells] == [None, str(other_vae)]
    assert list(cells[0]["provenance"]["models"]) == ["nano-turbo"]
    about: dict[str, Any] = cells[1]["provenance"]["models"][str(other_vae)]
    assert about["digest"] == locate_vae(str(other_vae)).digest
    png = Path(cells[1]["images"][0]["path"])
    assert reproduce(claim_of_png(png), "cpu", 1).identical
    weights = other_vae / "diffusion_pytorch_model.safetensors"
    shutil.copy(WEIGHTS / "nano-vae" / weights.name, weights)
    with pytest.raises(MissingFilesError, match="its VAE .* was .* here it is"):
        reproduce(claim_of_png(png), "cpu", 1)


@pytest.mark.parametrize("name", ["int8wo", "int8dq"])
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
    monkeypatch.setattr("turbo_lab.resolve.package_version", lambda name: "99.0")
    assert recipe("quantization=int8wo") == (("quantization", "int8wo torchao 99.0"),)
    monkeypatch.setattr("turbo_lab.resolve.package_version", lambda name: ABSENT)
    with pytest.raises(MissingFilesError, match=r"pip install 'turbo-lab\[quantize\]'"):
        recipe("quantization=int8wo")
    assert recipe() == ()


@pytest.mark.slow
def test_a_compiled_unet_shares_its_work_to_the_bit() -> None:
    """Compiled once: alone through the stock call, and after other cells through ours."""
    sweep = compose_side("sweep", "candidate", [*SMALL, "compile=default"])
    worker = worker_of(sweep)
    batch = sweep.cells[0].batches[0]
    worker.prepare(batch.recipe)
    worker.new_group()
    with worker.image_lane():
        first = worker.run(batch, None)
        again = worker.run(batch, None)  # its first evaluation is there already
        pipeline = worker.pipeline()
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
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] >= 1
    eager = drawn()
    apart = np.abs(first.astype(int) - eager)
    assert apart.max() <= 8  # other sums, the same picture
