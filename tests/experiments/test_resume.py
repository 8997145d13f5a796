"""A killed and resumed run of every stage ends in the bits of an uninterrupted one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("resvg_py")
pytest.importorskip("pytorch_optimizer")

import torch

from experiments.nano import loop
from experiments.nano.models import make_tokenizer
from tests.experiments.stages import STAGES, Parts

STEPS, DIES_AT = 3, 2


def made(name: str, folder: Path) -> loop.Stage:
    """The stage, as a process makes it: the same at every start."""
    torch.manual_seed(0)
    stage = STAGES[name](Parts(make_tokenizer(folder)))
    if name == "turbo":  # the adversary comes in where the run is cut off
        stage.cfg = replace(stage.cfg, adversarial_from=DIES_AT)
    stage.evaluate = lambda step: {}
    return stage


def weights(stage: loop.Stage) -> dict[str, torch.Tensor]:
    return {
        f"{name}/{key}": value
        for name, module in stage.modules.items()
        for key, value in module.state_dict().items()
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", STAGES)
def test_resumed_equals_uninterrupted(name: str, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    settings = loop.LoopConfig(
        steps=STEPS, seed=5, warmup_steps=2, log_every=1, evaluate_every=0, save_every_s=0
    )
    whole = made(name, tmp_path)
    start = {key: value.clone() for key, value in weights(whole).items()}
    loop.train(whole, settings, tmp_path / "whole")
    killed, step = made(name, tmp_path), None

    def dying(index: int, generator: torch.Generator) -> dict[str, float]:
        if index == DIES_AT:
            raise KeyboardInterrupt
        return step(index, generator)

    step, killed.step = killed.step, dying
    with pytest.raises(KeyboardInterrupt):
        loop.train(killed, settings, tmp_path / "cut")
    resumed = made(name, tmp_path)
    loop.train(resumed, settings, tmp_path / "cut")
    ends = weights(resumed)
    assert all(torch.equal(value, ends[key]) for key, value in weights(whole).items())
    assert any(not torch.equal(value, ends[key]) for key, value in start.items())
    logs = [(tmp_path / run / "log.jsonl").read_text() for run in ("whole", "cut")]
    assert logs[0] == logs[1]
