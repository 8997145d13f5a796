"""Names of samplers and schedules: what they mean in diffusers, and back."""

from __future__ import annotations

import pytest

from turbo_lab.infotext.samplers import _SAMPLERS, sampler_of, scheduler_of
from turbo_lab.request.request import SCHEDULERS

KARRAS = {"timestep_spacing": "linspace", "use_karras_sigmas": True}
TWO_M = {"algorithm_type": "dpmsolver++", "solver_order": 2}


@pytest.mark.parametrize(
    ("sampler", "schedule", "scheduler", "entries"),
    [
        ("Euler", "Automatic", "EulerDiscreteScheduler", {"timestep_spacing": "linspace"}),
        (
            "euler a",
            "SGM Uniform",
            "EulerAncestralDiscreteScheduler",
            {"timestep_spacing": "trailing"},
        ),
        ("Euler", "Simple", "EulerDiscreteScheduler", {"timestep_spacing": "trailing"}),
        ("DPM++ 2M Karras", None, "DPMSolverMultistepScheduler", {**TWO_M, **KARRAS}),
        ("DPM++ 2M", None, "DPMSolverMultistepScheduler", {**TWO_M, **KARRAS}),
        ("LCM", "Automatic", "LCMScheduler", {}),
        ("DDIM", None, "DDIMScheduler", {"timestep_spacing": "leading"}),
    ],
)
def test_equal_samplers(
    sampler: str, schedule: str | None, scheduler: str, entries: dict[str, object]
) -> None:
    found = scheduler_of(sampler, schedule)
    assert (found.scheduler, dict(found.entries), found.notes) == (scheduler, entries, ())


@pytest.mark.parametrize(
    ("sampler", "schedule", "note"),
    [
        ("Restart", None, "Sampler: Restart has no scheduler in diffusers; the model's own draws"),
        ("DPM++ SDE", "Karras", "Sampler: DPM++ SDE has only a near relative: DPMSolverSinglestep"),
        ("Euler", "Align Your Steps", "Schedule type: Align Your Steps is unknown; Uniform is"),
        ("Euler a", "Karras", "Schedule type: Karras is not for EulerAncestralDiscreteScheduler"),
    ],
)
def test_what_is_not_equal_is_said(sampler: str, schedule: str | None, note: str) -> None:
    (found,) = scheduler_of(sampler, schedule).notes
    assert found.startswith(note)


def test_every_scheduler_is_one_of_ours() -> None:
    assert {sampler.scheduler for sampler in _SAMPLERS.values()} == set(SCHEDULERS) - {
        "DDIMParallelScheduler"
    }


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_what_is_written_is_read(scheduler: str) -> None:
    for spacing in ("linspace", "trailing", "leading"):
        config = {"_class_name": scheduler, "timestep_spacing": spacing}
        name, schedule = sampler_of(config)
        found = scheduler_of(name, schedule)
        assert found.scheduler == (None if scheduler == "DDIMParallelScheduler" else scheduler)
        assert found.entries.get("timestep_spacing", spacing) == spacing


def test_variants_of_a_scheduler_have_names_of_their_own() -> None:
    config = {"_class_name": "DPMSolverMultistepScheduler", "algorithm_type": "sde-dpmsolver++"}
    assert sampler_of(config) == ("DPM++ 2M SDE", "Uniform")
    assert sampler_of({**config, "solver_order": 3})[0] == "DPM++ 3M SDE"
    assert sampler_of({**config, "use_karras_sigmas": True})[1] == "Karras"
    assert sampler_of({"_class_name": "PNDMScheduler", "timestep_spacing": 3}) == ("PNDM", None)
