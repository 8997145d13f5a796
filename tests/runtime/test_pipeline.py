"""Loading a pipeline: where weights lie, schedulers, prompts that are cut, and refusals."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch

from tests.runtime.tiny import scheduler_json, tiny_pipeline
from turbo_lab.cards import ModelSource, locate, model_card
from turbo_lab.errors import InputError, MissingFilesError
from turbo_lab.planning.work import WorkDone
from turbo_lab.request.recipe import Batch, Layout, Recipe
from turbo_lab.request.scheduler import canonical_scheduler
from turbo_lab.runtime import pipeline
from turbo_lab.runtime.determinism import image_lane
from turbo_lab.runtime.sampler import Sampler, SharedWork


def test_weights_that_were_saved_again_lie_elsewhere_and_draw_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = model_card("nano-turbo")
    files = locate(card)
    scheduler = canonical_scheduler(files.scheduler, card.scheduler, None)
    cpu = torch.device("cpu")
    shipped = pipeline.load_pipeline(files.source, scheduler, "float32", cpu)
    shipped.save_pretrained(tmp_path / "again", safe_serialization=True)
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "align_weights", lambda _: None)
        bare = pipeline.load_pipeline(ModelSource(tmp_path / "again"), scheduler, "float32", cpu)
    again = pipeline.load_pipeline(ModelSource(tmp_path / "again"), scheduler, "float32", cpu)
    assert any(weight.data_ptr() % 64 for weight in bare.unet.parameters())
    assert not any(weight.data_ptr() % 64 for weight in again.unet.parameters())
    recipe = Recipe("x", scheduler, (), 1, 0.0, None, 64, 64, "float32", ())
    batch = Batch(recipe, Layout(("a guitar on a blue background",), (7,)))
    stages: list[dict[str, torch.Tensor]] = []
    for loaded in (shipped, again):
        sampler = Sampler(loaded, cpu, WorkDone())
        seen: dict[str, torch.Tensor] = {}
        with image_lane(2):
            sampler.run(batch, None, SharedWork(), seen.setdefault)
        stages.append(seen)
    assert list(stages[0]) == list(stages[1])
    for stage, tensor in stages[0].items():
        assert torch.equal(tensor, stages[1][stage]), stage


@pytest.mark.parametrize("name", ["FlowMatch", "UNet2DConditionModel", "NoSuchScheduler"])
def test_only_a_scheduler_of_diffusers_is_made(name: str) -> None:
    with pytest.raises(InputError, match=f"scheduler={name}: is not a scheduler of diffusers"):
        pipeline.make_scheduler(json.dumps({"_class_name": name}))


def test_each_scheduler_is_new_and_as_its_config_says(tiny_sdxl_dir: Path) -> None:
    text = scheduler_json(tiny_sdxl_dir)
    first, second = pipeline.make_scheduler(text), pipeline.make_scheduler(text)
    assert first is not second and type(first).__name__ == "EulerAncestralDiscreteScheduler"
    assert first.config["timestep_spacing"] == "trailing"
    first.set_timesteps(4)
    assert first.timesteps.tolist() == [999, 749, 499, 249]
    assert second.num_inference_steps is None


def test_prompts_longer_than_the_window_are_named_with_what_is_lost(tiny_sdxl_dir: Path) -> None:
    """The tiny tokenizer has one token per letter: 75 fit."""
    loaded = tiny_pipeline(tiny_sdxl_dir)
    fits, too_long = "a" * 75, "b" * 70 + "cdefghi"
    found = pipeline.cut_prompts(loaded, [fits, too_long, too_long, "short"])
    assert found == {too_long: "hi"}


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_weights_have_the_dtype_and_no_watermark(tiny_sdxl_dir: Path, dtype: str) -> None:
    loaded = tiny_pipeline(tiny_sdxl_dir, dtype)
    for part in ("unet", "vae", "text_encoder", "text_encoder_2"):
        assert getattr(loaded, part).dtype == pipeline.TORCH_DTYPES[dtype]
    assert loaded.watermark is None and loaded._progress_bar_config == {"disable": True}


def test_what_is_not_a_pipeline_is_refused(tiny_sdxl_dir: Path, tmp_path: Path) -> None:
    text, cpu = scheduler_json(tiny_sdxl_dir), torch.device("cpu")
    with pytest.raises(MissingFilesError, match="model: .*none does not exist"):
        pipeline.load_pipeline(ModelSource(tmp_path / "none"), text, "float32", cpu)
    with pytest.raises(InputError, match="cannot be loaded as a StableDiffusionXLPipeline"):
        pipeline.load_pipeline(ModelSource(tmp_path), text, "float32", cpu)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU, which loads it")
def test_cublas_has_its_setting_before_a_pipeline_reaches_a_gpu(
    tiny_sdxl_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = scheduler_json(tiny_sdxl_dir)
    for before, after in ((None, ":4096:8"), (":16:8", ":16:8")):
        monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", before or "")
        if before is None:
            monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
        with pytest.raises((RuntimeError, AssertionError), match="CUDA|NVIDIA"):
            pipeline.load_pipeline(
                ModelSource(tiny_sdxl_dir), text, "float32", torch.device("cuda")
            )
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == after
