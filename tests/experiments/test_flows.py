"""Recording the teacher's flows: resumable, shared out, and never those of another teacher."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pytorch_optimizer")

import torch
from torch import Tensor, nn

from experiments.nano import turbo
from experiments.nano.artifacts import Work
from experiments.nano.device import module_digest
from experiments.nano.optim import make_muon
from experiments.nano.teacher import Conditioning

CAPTIONS = torch.arange(100)


class Teacher(nn.Module):
    """Stands for a UNet; counts how often it is asked."""

    def __init__(self, weight: float = 0.1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight), requires_grad=False)
        self.calls = 0

    def forward(self, sample: Tensor, timestep: Any, **_: Any) -> tuple[Tensor]:
        self.calls += 1
        return (self.weight * sample,)


@pytest.fixture
def conditioning() -> Conditioning:
    return Conditioning(torch.zeros(640, 32, 160), torch.zeros(640, 96))


@pytest.fixture
def record(tmp_path: Path, conditioning: Conditioning) -> Any:
    def run(teacher: Teacher, count: int, folder: str = "flows", guidance: float = 1.0) -> Any:
        return turbo.stored_flows(
            tmp_path / folder, teacher, conditioning, CAPTIONS, count, guidance
        )

    return run


def test_flows_go_through_the_captions_in_turn(record: Any) -> None:
    flows = record(Teacher(), 130)
    assert flows["states"].shape == (130, len(turbo.VISITED), 4, 16, 16)
    assert flows["captions"].tolist() == [index % 100 for index in range(130)]


def test_a_resumed_recording_equals_an_uninterrupted_one(record: Any, tmp_path: Path) -> None:
    whole = record(Teacher(), 130, "whole")
    record(Teacher(), 64)
    (stored,) = (tmp_path / "flows").iterdir()
    (stored / "0001.partial").write_bytes(b"cut short by a kill")
    teacher = Teacher()
    resumed = record(teacher, 130)
    assert teacher.calls == 2 * turbo.FLOW_STEPS  # the first chunk was there
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)


def test_processes_share_the_chunks_out(record: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = record(Teacher(), 192, "whole")
    first, second = Teacher(), Teacher()
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")

    def other_process(_: float) -> None:  # while this one waits
        monkeypatch.setenv("RANK", "0")
        record(first, 192)

    monkeypatch.setattr(turbo.time, "sleep", other_process)
    shared = record(second, 192)
    assert (first.calls, second.calls) == (2 * turbo.FLOW_STEPS, turbo.FLOW_STEPS)
    assert all(torch.equal(whole[key], shared[key]) for key in whole)


def test_another_teacher_or_guidance_has_flows_of_its_own(record: Any) -> None:
    one = record(Teacher(), 2)
    other = record(Teacher(0.2), 2)
    assert not torch.equal(one["ends"], other["ends"])
    digests = {module_digest(Teacher(w), g) for w in (0.1, 0.2) for g in (1.0, 2.5)}
    assert len(digests) == 4


def test_latents_of_another_vae_are_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def encode(work: Work, vae: nn.Module, style: str) -> dict[str, torch.Tensor]:
        made.append(vae.bias.item())
        return {"scaling_factor": vae.bias.detach().clone()}

    vaes = iter((0.5, 0.5, 2.0))

    def load(work: Work, stage: str, name: str, module: nn.Module) -> nn.Module:
        vae = nn.Linear(1, 1)
        nn.init.constant_(vae.weight, 1.0)
        nn.init.constant_(vae.bias, next(vaes))
        return vae

    monkeypatch.setattr(Work, "_encode", encode)
    monkeypatch.setattr(Work, "load", load)
    factors = [Work(tmp_path).scaling_factor() for _ in range(3)]
    assert factors == [0.5, 0.5, 2.0]
    assert made == [0.5, 2.0]


def test_muon_calls_the_hook_by_which_processes_share_gradients() -> None:
    layer = nn.Linear(8, 8)
    optimizer, seen = make_muon([layer], 0.02, 1e-3), []
    optimizer.register_step_pre_hook(lambda *_: seen.append(layer.weight.grad is not None))
    layer(torch.ones(1, 8)).sum().backward()
    optimizer.step()
    assert seen == [True]
