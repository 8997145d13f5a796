"""Every stage on another device than the CPU, where there is no GPU: on ``meta``.

Its tensors have a device and no values, and do not mix with the CPU's.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("resvg_py")
pytest.importorskip("pytorch_optimizer")

import torch
from torch.utils._device import _device_constructors

from experiments.nano import device, loop, sample, teacher, turbo, vae
from experiments.nano.models import make_tokenizer
from tests.experiments.stages import STAGES, Parts


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The default device is ``meta``, which has no generators, autocast or values."""
    item = torch.Tensor.item
    monkeypatch.setattr(torch.Tensor, "item", lambda t: 1.0 if t.is_meta else item(t))
    monkeypatch.setattr(sample, "seeded", lambda seed: None)
    for module in (sample, teacher, turbo, vae):
        monkeypatch.setattr(module, "autocast", lambda enabled=True: contextlib.nullcontext())
    # transformers replaces torch.linspace while it loads a model. Where that was the first use of
    # a device context, torch remembers the replacement and misses the real one.
    _device_constructors.cache_clear()
    with torch.device("meta"):
        yield


@pytest.mark.slow
@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("make", STAGES.values(), ids=STAGES)
def test_a_step_stays_on_its_device(make: Callable[[Parts], loop.Stage], tmp_path: Path) -> None:
    stage = make(Parts(make_tokenizer(tmp_path)))
    weights = [p for module in stage.modules.values() for p in module.parameters()]
    assert weights and all(weight.is_meta for weight in weights)
    assert stage.step(0, None)  # type: ignore[arg-type]  # meta has no generators
    assert all(weight.is_meta for weight in weights)


@pytest.mark.usefixtures("elsewhere")
def test_a_batch_left_on_the_cpu_would_be_seen() -> None:
    stage = STAGES["lora"](Parts(None))
    stage.latents = torch.zeros(8, 4, 16, 16, device="cpu")  # type: ignore[attr-defined]
    with pytest.raises(RuntimeError, match="device"):
        stage.step(0, None)  # type: ignore[arg-type]


@pytest.mark.usefixtures("elsewhere")
def test_the_critic_judges_on_its_device() -> None:
    parts = Parts(None)
    drawn = parts.critic.decode(torch.randn(128, 4, 16, 16))
    assert drawn.is_meta
    assert parts.critic.judge_images(drawn)


def test_draws_of_a_seed_lie_on_the_default_device() -> None:
    assert device.seeded(3).device == device.device() == torch.device("cpu")
    one, two = (torch.randn(4, generator=device.seeded(3)) for _ in range(2))
    assert torch.equal(one, two)
