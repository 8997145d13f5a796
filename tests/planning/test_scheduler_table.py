"""The numpy table of schedulers equals diffusers, and knows what it does not know."""

from __future__ import annotations

import json
from typing import Any

import pytest

from turbo_lab.planning.scheduler_table import (
    KNOWN,
    SchedulerConfig,
    evaluations,
    first_evaluation,
    scheduler_config,
    timesteps,
)
from turbo_lab.request.request import SCHEDULERS

BETAS: dict[str, Any] = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


@pytest.mark.parametrize("spacing", ["trailing", "leading", "linspace"])
@pytest.mark.parametrize("name", KNOWN)
def test_first_evaluation_equals_diffusers(name: str, spacing: str) -> None:
    import diffusers

    config = SchedulerConfig(name, **BETAS, timestep_spacing=spacing)
    for steps in (1, 2, 3, 4, 7, 25, 50):
        ours = first_evaluation(config, steps)
        if ours is None:
            assert name == "DPMSolverMultistepScheduler" and spacing != "trailing"
            continue
        scheduler = getattr(diffusers, name)(**BETAS, timestep_spacing=spacing)
        scheduler.set_timesteps(steps)
        assert ours.timestep == pytest.approx(float(scheduler.timesteps[0]), abs=1e-4)
        if name.startswith("Euler"):
            # diffusers sums in float32, which shows at the smallest sigmas.
            assert ours.sigma == pytest.approx(float(scheduler.sigmas[0]), rel=1e-4)


def test_turbo_starts_at_999_for_every_step_count() -> None:
    name = "EulerAncestralDiscreteScheduler"
    turbo = SchedulerConfig(name, **BETAS, timestep_spacing="trailing")
    starts = {first_evaluation(turbo, steps) for steps in (1, 2, 3, 4)}
    assert len(starts) == 1
    start = starts.pop()
    assert start is not None and start.timestep == 999
    assert start.sigma == pytest.approx(14.6146, abs=1e-4)
    assert timesteps(turbo, 4).tolist() == [999, 749, 499, 249]


@pytest.mark.parametrize(
    "change",
    [
        {"_class_name": "HeunDiscreteScheduler"},
        {"use_karras_sigmas": True},
        {"timestep_spacing": "unheard-of"},
    ],
)
def test_unknown_schedulers_promise_nothing(change: dict[str, Any]) -> None:
    config = {"_class_name": "EulerDiscreteScheduler", **BETAS, "timestep_spacing": "trailing"}
    assert first_evaluation(scheduler_config(json.dumps(config)), 4) is not None
    assert first_evaluation(scheduler_config(json.dumps({**config, **change})), 4) is None


def test_absent_entries_and_null_ones_have_their_defaults() -> None:
    config = {"_class_name": "EulerDiscreteScheduler", "beta_start": None, "clip_sample": False}
    assert scheduler_config(json.dumps(config)) == SchedulerConfig("EulerDiscreteScheduler")


@pytest.mark.parametrize("name", SCHEDULERS)
def test_evaluations_are_those_of_diffusers(name: str) -> None:
    import diffusers

    scheduler = getattr(diffusers, name)(**BETAS)
    for steps in (1, 2, 4, 9):
        scheduler.set_timesteps(steps)
        assert evaluations(SchedulerConfig(name), steps) == len(scheduler.timesteps)
