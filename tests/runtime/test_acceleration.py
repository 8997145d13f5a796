"""Changes that a recipe makes to a loaded pipeline."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionXLPipeline

from tests.runtime.tiny import CPU, tiny_batch, tiny_pipeline
from turbo_lab.errors import MissingFilesError
from turbo_lab.planning.work import WorkDone
from turbo_lab.request.pipeline import PipelineKeys
from turbo_lab.runtime.acceleration import accelerate
from turbo_lab.runtime.determinism import image_lane
from turbo_lab.runtime.sampler import Sampler, SharedWork


@pytest.fixture
def own(tiny_sdxl_dir: Path) -> StableDiffusionXLPipeline:
    """A pipeline that a test may change."""
    return tiny_pipeline(tiny_sdxl_dir)


def test_nothing_is_changed_without_a_key(own: StableDiffusionXLPipeline) -> None:
    before = {name: weight.data_ptr() for name, weight in own.unet.named_parameters()}
    accelerate(own, PipelineKeys(), None)
    assert before == {name: weight.data_ptr() for name, weight in own.unet.named_parameters()}
    assert not (own.vae.use_slicing or own.vae.use_tiling)


@pytest.mark.parametrize(("key", "flag"), [("vae_slicing", "slicing"), ("vae_tiling", "tiling")])
def test_the_vae_decodes_in_parts(own: StableDiffusionXLPipeline, key: str, flag: str) -> None:
    accelerate(own, PipelineKeys(**{key: True}), None)
    flags = {"slicing": own.vae.use_slicing, "tiling": own.vae.use_tiling}
    assert flags == {"slicing": flag == "slicing", "tiling": flag == "tiling"}


@pytest.mark.parametrize("keys", [{"memory_format": "channels_last"}, {"fuse_qkv": True}])
def test_layout_and_fused_products_change_the_images_by_rounding_only(
    own: StableDiffusionXLPipeline,
    pipeline: StableDiffusionXLPipeline,
    tiny_sdxl_dir: Path,
    keys: dict[str, object],
) -> None:
    accelerate(own, PipelineKeys(**keys), None)  # type: ignore[arg-type]
    if "fuse_qkv" in keys:
        assert any("to_qkv" in name for name, _ in own.unet.named_modules())
    else:
        kernel = own.unet.conv_in.weight
        assert kernel.is_contiguous(memory_format=torch.channels_last)
        assert not kernel.is_contiguous() and pipeline.unet.conv_in.weight.is_contiguous()
    batch = tiny_batch(tiny_sdxl_dir)
    drawn = []
    for loaded in (own, pipeline):
        with image_lane(1):
            sampler = Sampler(loaded, CPU, WorkDone())
            drawn.append(sampler.run(batch, None, SharedWork()).astype(int))
    assert abs(drawn[0] - drawn[1]).max() <= 1


def test_another_torchao_is_refused_before_a_weight_is_changed(
    own: StableDiffusionXLPipeline,
) -> None:
    keys = PipelineKeys(quantization="int8wo")
    with pytest.raises(
        MissingFilesError,
        match=r"quantization=int8wo: was drawn with torchao 0\.1, here it is .*; pip install torch",
    ):
        accelerate(own, keys, "0.1")
    assert {type(weight.data) for weight in own.unet.parameters()} == {torch.Tensor}


def test_linear_layers_of_the_unet_are_quantised_and_nothing_else(
    own: StableDiffusionXLPipeline,
) -> None:
    torchao = pytest.importorskip("torchao")
    accelerate(own, PipelineKeys(quantization="int8wo"), torchao.__version__)
    for module in own.unet.modules():
        if isinstance(module, torch.nn.Linear):
            assert type(module.weight.data) is not torch.Tensor
        elif isinstance(module, torch.nn.Conv2d):
            assert type(module.weight.data) is torch.Tensor
    assert {type(weight.data) for weight in own.vae.parameters()} == {torch.Tensor}
