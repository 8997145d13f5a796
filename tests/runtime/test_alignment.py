"""Weights keep their bits' work wherever they lie in a file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from turbo_lab.cards import ModelSource, locate, model_card
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
