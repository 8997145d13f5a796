"""Each pipeline key on a true-layout SDXL: the pixels of diffusers called with the same setting.

The oracle is diffusers' own loader, the method of diffusers or torchao that a key stands for, and
diffusers' own call. The recipe names the key, and ``reproduce`` draws the same pixels again.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny, StableDiffusionXLPipeline
from torch.nn.attention import SDPBackend, sdpa_kernel

from turbo_lab.cards import locate_vae
from turbo_lab.cli.main import main
from turbo_lab.config import compose
from turbo_lab.environment import package_version
from turbo_lab.execute.worker import worker_for
from turbo_lab.images import read_png
from turbo_lab.planning.resolved_sweep import resolve_points

PROMPTS = ("a red apple", "a blue ball on a table")
WIDTH, HEIGHT, STEPS, SEED = 128, 64, 2, 5
VAE = "tiny-vae"  # a folder in the working directory
Change = Callable[[StableDiffusionXLPipeline], object]


def unchanged(pipeline: StableDiffusionXLPipeline) -> None:
    """As loaded."""


def channels_last(pipeline: StableDiffusionXLPipeline) -> None:
    pipeline.unet.to(memory_format=torch.channels_last)
    pipeline.vae.to(memory_format=torch.channels_last)


def quantized(config: str, pipeline: StableDiffusionXLPipeline) -> None:
    from torchao import quantization

    quantization.quantize_(pipeline.unet, getattr(quantization, config)())


def tiny_decoder(pipeline: StableDiffusionXLPipeline) -> None:
    pipeline.vae = AutoencoderTiny.from_pretrained(VAE)


def torchao(kind: str) -> str:
    return f"{kind} torchao {package_version('torchao')}"


@dataclass(frozen=True)
class Key:
    """One setting of a command, and what it is in diffusers."""

    words: tuple[str, ...]
    """Words of the command."""
    change: Change = unchanged
    """The same change of a pipeline that diffusers has loaded."""
    variant: tuple[tuple[str, str], ...] = ()
    """What the recipe says of it."""
    during: Callable[[], AbstractContextManager[object]] = nullcontext
    """Context of diffusers' call."""
    must_differ: bool = True
    """Whether the pixels must be other ones than those of the stock pipeline; they may be."""
    guidance: float = 0.0
    """Guidance scale."""


KEYS = {
    "vae": Key((f"vae={VAE}",), tiny_decoder),  # its variant is the digest of the folder
    "fuse_qkv": Key(
        ("fuse_qkv=true",),
        lambda pipeline: pipeline.fuse_qkv_projections(),
        (("fuse_qkv", "true"),),
        must_differ=False,
        guidance=2.0,
    ),
    "channels_last": Key(
        ("memory_format=channels_last",), channels_last, (("memory_format", "channels_last"),)
    ),
    "vae_slicing": Key(
        ("vae_slicing=true",),
        lambda pipeline: pipeline.vae.enable_slicing(),
        (("vae_slicing", "true"),),
        must_differ=False,
    ),
    "vae_tiling": Key(
        ("vae_tiling=true",),
        lambda pipeline: pipeline.vae.enable_tiling(),
        (("vae_tiling", "true"),),
    ),
    "attention=math": Key(
        ("attention=math",),
        variant=(("attention", "math"),),
        during=lambda: sdpa_kernel(SDPBackend.MATH),
    ),
    "attention=flash": Key(
        ("attention=flash",),
        variant=(("attention", "flash"),),
        during=lambda: sdpa_kernel(SDPBackend.FLASH_ATTENTION),
        must_differ=False,  # what a CPU takes by itself
    ),
    **{
        f"quantization={kind}": Key(
            (f"quantization={kind}",),
            partial(quantized, config),
            (("quantization", torchao(kind)),),
        )
        for kind, config in (
            ("int8wo", "Int8WeightOnlyConfig"),
            ("int8dq", "Int8DynamicActivationInt8WeightConfig"),
            ("float8wo", "Float8WeightOnlyConfig"),
        )
    },
    "several": Key(
        ("memory_format=channels_last", "vae_slicing=true", "vae_tiling=true", "attention=math"),
        lambda pipeline: (
            channels_last(pipeline),
            pipeline.vae.enable_slicing(),
            pipeline.vae.enable_tiling(),
        ),
        (
            ("attention", "math"),
            ("memory_format", "channels_last"),
            ("vae_slicing", "true"),
            ("vae_tiling", "true"),
        ),
        during=lambda: sdpa_kernel(SDPBackend.MATH),
        guidance=2.0,
    ),
    "a small VAE in slices": Key(
        (f"vae={VAE}", "vae_slicing=true", "memory_format=channels_last"),
        lambda pipeline: (
            tiny_decoder(pipeline),
            channels_last(pipeline),
            pipeline.vae.enable_slicing(),
        ),
        (("memory_format", "channels_last"), ("vae_slicing", "true")),
    ),
}


@pytest.fixture(autouse=True)
def place(packaged_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory with an ``AutoencoderTiny`` of random weights, and nano-turbo tiny."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(3)
    widths = (8, 8, 8, 8)
    AutoencoderTiny(
        encoder_block_out_channels=widths,
        decoder_block_out_channels=widths,
        num_encoder_blocks=(1, 1, 1, 1),
        num_decoder_blocks=(1, 1, 1, 1),
    ).save_pretrained(VAE)


def by_diffusers(folder: Path, key: Key) -> np.ndarray:
    """Return the images of diffusers' own call, with a key's setting made by hand."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        pipeline = StableDiffusionXLPipeline.from_pretrained(str(folder), add_watermarker=False)
        pipeline.set_progress_bar_config(disable=True)
        key.change(pipeline)
        with key.during():
            pictures = pipeline(
                prompt=list(PROMPTS),
                num_inference_steps=STEPS,
                guidance_scale=key.guidance,
                width=WIDTH,
                height=HEIGHT,
                generator=[torch.Generator().manual_seed(SEED + i) for i in range(len(PROMPTS))],
            ).images
    finally:
        torch.set_num_threads(before)
    return np.stack([np.asarray(picture) for picture in pictures])


def words_of(key: Key, *more: str) -> list[str]:
    Path("prompts.txt").write_text("\n".join(PROMPTS) + "\n")
    return [
        "model=nano-turbo",
        "prompts=file",
        "prompts.path=prompts.txt",
        f"seed={SEED}",
        f"num_inference_steps={STEPS}",
        f"guidance_scale={key.guidance}",
        "num_images=2",
        "batch_size=2",
        f"resolution={WIDTH}x{HEIGHT}",
        "num_threads=1",
        "metrics=none",
        "timing=off",
        "tracking=none",
        "store=store",
        *key.words,
        *more,
    ]


@pytest.mark.parametrize("pipeline", ["stock", "exact"])
@pytest.mark.parametrize("name", KEYS)
def test_a_key_draws_what_diffusers_draws_is_recorded_and_reproduced(
    name: str, pipeline: str, tiny_sdxl_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = KEYS[name]
    assert main(["sweep", *words_of(key, f"pipeline={pipeline}"), "--json"]) == 0
    (cell,) = json.loads(capsys.readouterr().out)["cells"]
    images = [Path(image["path"]) for image in cell["images"]]
    drawn = np.stack([read_png(image)[0] for image in images])
    wanted = by_diffusers(tiny_sdxl_dir, key)
    assert np.array_equal(drawn, wanted)
    if key.must_differ:
        stock = by_diffusers(tiny_sdxl_dir, Key((), guidance=key.guidance))
        assert not np.array_equal(drawn, stock)
    record = json.loads(Path(cell["record"]).read_text())
    expected = dict(key.variant)
    if any(word.startswith("vae=") for word in key.words):
        expected["vae"] = locate_vae(VAE).digest
    if pipeline == "exact":
        expected["loop"] = "exact"
    assert dict(record["recipe"]["variant"]) == expected
    assert "notes" not in record["provenance"]
    assert main(["reproduce", str(images[1]), "num_threads=1", "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["verdict"] == "pass" and again["identical"] is True


@pytest.mark.parametrize("name", KEYS)
def test_the_exact_loop_is_proved_with_a_key(name: str) -> None:
    """In both lanes: no part is given back to the stock call."""
    sweep = resolve_points(compose("sweep", words_of(KEYS[name], "pipeline=exact")))
    worker, cell = worker_for(sweep), sweep.cells[0]
    worker.prepare(cell.recipe)
    worker.new_group()
    assert worker.run(cell.batches[0], None).notes == ()
    worker.time_cell(cell, "short", sweep.fingerprint)
    exact = worker.resident.exact
    assert exact is not None and exact.proved == {"image", "timing"} and not exact.given_back


def test_keys_that_may_keep_the_pixels_are_set() -> None:
    sweep = resolve_points(compose("sweep", words_of(KEYS["vae_slicing"], "fuse_qkv=true")))
    worker = worker_for(sweep)
    worker.prepare(sweep.cells[0].recipe)
    pipeline = worker.resident.pipeline
    fused = [m.fused_projections for m in pipeline.unet.modules() if hasattr(m, "to_q")]
    assert fused and all(fused) and pipeline.vae.use_slicing


def test_tiles_are_needed_for_the_size_that_is_drawn(tiny_sdxl_dir: Path) -> None:
    """Else the key ``vae_tiling`` would be tested without a tile."""
    vae: Any = AutoencoderKL.from_pretrained(str(tiny_sdxl_dir / "vae"))
    assert max(WIDTH, HEIGHT) // 8 > vae.tile_latent_min_size
