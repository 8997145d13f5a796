"""The split of a call into its stages."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionXLPipeline

from tests.runtime.clocks import FakeTime, steady
from turbo_lab.runtime.stage_clock import STAGES, StageClock, stock_methods
from turbo_lab.runtime.timing import TimingRule, measure_call


class FakePipeline:
    """Where a stock pipeline has its stages; each takes a time of its own."""

    def __init__(self, wait: Callable[[float], None]) -> None:
        class Unet:
            def forward(self, x: int) -> int:
                wait(5.0)
                return x + 1

            def __call__(self, x: int) -> int:
                return self.forward(x)

        self.unet = Unet()
        self.vae = SimpleNamespace(decode=lambda x: (wait(3.0), x)[1])
        self.image_processor = SimpleNamespace(postprocess=lambda x: (wait(2.0), x)[1])
        self._wait = wait

    def encode_prompt(self) -> int:
        self._wait(1.0)
        return 0

    def __call__(self) -> int:
        x = self.encode_prompt()
        for _ in range(4):
            x = self.unet(x)
            self._wait(0.5)
        return self.image_processor.postprocess(self.vae.decode(x))


def test_stages_add_up_to_the_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeTime(steady())

    def wait(ms: float) -> None:
        fake.now_ns += round(ms * 1e6)

    monkeypatch.setattr("turbo_lab.runtime.stage_clock.time.perf_counter_ns", fake.clock)
    pipeline = FakePipeline(wait)
    decode = pipeline.vae.decode
    with StageClock(pipeline) as stages:
        call = measure_call(
            pipeline, TimingRule("t", 2, 0.1, 4, 1.0, 7, 0.0), stages=stages, clock=fake.clock
        )
    assert call.stages_s == pytest.approx(
        {"text": 0.001, "unet": 0.02, "vae": 0.003, "post": 0.002, "other": 0.002}
    )
    assert tuple(call.stages_s or ()) == STAGES
    assert call.unet_steps_s == pytest.approx((0.005,) * 4)
    assert sum((call.stages_s or {}).values()) == pytest.approx(call.latency_s.mean)
    assert pipeline.vae.decode is decode and "encode_prompt" not in vars(pipeline)
    assert "forward" not in vars(pipeline.unet) and pipeline() == 4


def test_stages_of_a_stock_pipeline(pipeline: StableDiffusionXLPipeline) -> None:
    """Same image with and without the clock; nothing is left behind."""

    def generate() -> Any:
        generator = torch.Generator().manual_seed(0)
        return pipeline(
            "a circle",
            num_inference_steps=2,
            guidance_scale=0.0,
            width=64,
            height=64,
            generator=generator,
            output_type="np",
        ).images

    before = generate()
    with StageClock(pipeline) as stages:
        call = measure_call(
            lambda: np.testing.assert_array_equal(generate(), before),
            TimingRule("t", 1, 9.0, 1, 0.1, 3, 0.0),
            stages=stages,
        )
    assert call.stages_s is not None
    assert all(call.stages_s[stage] > 0 for stage in STAGES)
    assert sum(call.stages_s.values()) == pytest.approx(call.latency_s.mean)
    assert len(call.unet_steps_s or ()) == 2
    assert sum(call.unet_steps_s or ()) == pytest.approx(call.stages_s["unet"])
    assert "forward" not in vars(pipeline.unet) and "decode" not in vars(pipeline.vae)


def test_calls_of_several_lengths_have_no_steps_and_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake = FakeTime(steady())

    def wait(ms: float) -> None:
        fake.now_ns += round(ms * 1e6)

    monkeypatch.setattr("turbo_lab.runtime.stage_clock.time.perf_counter_ns", fake.clock)
    pipeline = FakePipeline(wait)
    with StageClock(pipeline) as clock:
        pipeline()
        clock.reset()
        for _ in range(3):
            pipeline.unet(0)
    assert clock.unet_steps(2) is None
    assert clock.unet_steps(3) == pytest.approx((0.005,))
    assert clock.means(3, 0.006)["other"] == pytest.approx(0.001)


def test_a_stage_that_raises_is_counted_and_restored() -> None:
    owner = SimpleNamespace(decode=lambda: 1 / 0)
    before = owner.decode
    with StageClock(None, methods={"vae": (owner, "decode")}) as clock:
        with pytest.raises(ZeroDivisionError):
            owner.decode()
        assert clock.means(1, 1.0)["vae"] >= 0 and len(clock._marks) == 1
    assert owner.decode is before


def test_stages_are_methods_of_the_pipeline(pipeline: StableDiffusionXLPipeline) -> None:
    found = stock_methods(pipeline)
    assert tuple(found) == STAGES[:-1]
    assert all(callable(getattr(owner, name)) for owner, name in found.values())


def test_steps_are_not_told_apart_where_calls_differ() -> None:
    clock = StageClock(SimpleNamespace(unet=None, vae=None, image_processor=None))
    clock._marks = [("unet", 0, 1_000), ("unet", 0, 3_000), ("vae", 0, 9), ("unet", 0, 5_000)]
    assert clock.unet_steps(1) == pytest.approx((1e-6, 3e-6, 5e-6))
    assert clock.unet_steps(3) == pytest.approx((3e-6,)) and clock.unet_steps(2) is None
