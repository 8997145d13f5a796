"""What a scheduler takes, held against the diffusers that is installed."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import diffusers
import pytest

from turbo_lab import config
from turbo_lab.errors import InputError
from turbo_lab.identity import canonical_json
from turbo_lab.planning.resolved_sweep import plan_result, resolve_points
from turbo_lab.request.request import SCHEDULERS
from turbo_lab.request.scheduler import _config_keys, check_scheduler, too_many_steps

EULER = {"_class_name": "EulerDiscreteScheduler", "beta_start": 0.00085, "skip_prk_steps": True}


def resolved(*words: str):  # type: ignore[no-untyped-def]
    quick = ("metrics=none", "tracking=none", "num_images=1", "num_threads=1")
    return resolve_points(config.compose("plan", [*words, *quick]))


@pytest.mark.parametrize("name", SCHEDULERS)
def test_keys_are_those_of_the_installed_class(name: str) -> None:
    parameters = list(inspect.signature(getattr(diffusers, name)).parameters)
    assert _config_keys(name) == set(parameters) - {"self"}


@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize(
    ("entries", "steps"),
    [
        ({}, (50, 51, 999)),
        ({"num_train_timesteps": 100, "original_inference_steps": 20}, (20, 21, 101)),
    ],
)
def test_step_counts_are_refused_as_diffusers_refuses_them(
    name: str, entries: dict[str, int], steps: tuple[int, ...]
) -> None:
    values = {"_class_name": name, **entries}
    for count in steps:
        scheduler = getattr(diffusers, name).from_config(entries)
        try:
            scheduler.set_timesteps(count)
        except ValueError:
            assert too_many_steps(canonical_json(values), count) is not None
        else:
            assert too_many_steps(canonical_json(values), count) is None


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ({"timestep_spcing": "trailing"}, "model.scheduler key=timestep_spcing: unknown. Did you"),
        ({"timestep_spacing": "trailng"}, "trailng: must be one of leading, linspace, trailing"),
        ({"beta_schedule": "cosine"}, "beta_schedule=cosine: must be one of linear, scaled_linear"),
        ({"beta_end": 12}, "beta_end=12: must be a number between 0 and 1"),
        ({"num_train_timesteps": 0}, "num_train_timesteps=0: must be an integer"),
        ({"num_train_timesteps": 10**12}, "0: must be at most 100,000"),
        ({"use_karras_sigmas": True, "use_beta_sigmas": True}, "set at most one of them"),
        (
            {"_class_name": "EulerScheduler"},
            "scheduler=EulerScheduler: unknown. Did you mean Euler",
        ),
        ({"rho": float("nan")}, "rho=nan: must be finite"),
    ],
)
def test_what_no_scheduler_takes_is_refused(override: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as raised:
        check_scheduler(EULER, override, None)
    assert message in str(raised.value)


def test_a_checkpoint_may_hold_keys_of_other_schedulers_and_a_user_is_told() -> None:
    assert check_scheduler(EULER, None, "LCMScheduler") == ()
    assert check_scheduler(EULER, {"timestep_spacing": "trailing"}, None) == ()
    assert check_scheduler(
        EULER, {"timestep_spacing": "trailing"}, "DPMSolverSinglestepScheduler"
    ) == ("model.scheduler: timestep_spacing has no effect on DPMSolverSinglestepScheduler",)
    with pytest.raises(InputError, match=r"scheduler_config\.json: beta_start=7: must be"):
        check_scheduler({**EULER, "beta_start": 7}, None, None)


def test_plan_refuses_the_steps_that_a_scheduler_does_not_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="num_inference_steps=51: LCMScheduler takes at most 50"):
        resolved("model=nano-lcm", "num_inference_steps=51")
    sweep = resolved("model=nano-lcm", "num_inference_steps=4,51")
    assert [cell.misfit is None for cell in sweep.cells] == [True, False]
    assert plan_result(sweep).warnings[-1].startswith("will fail: num_inference_steps=51: LCM")
    with pytest.raises(InputError, match="timestep_spcing: unknown"):
        resolved("model.scheduler={timestep_spcing:trailing}")


def test_every_packaged_card_has_a_scheduler_that_is_taken() -> None:
    for name in ("nano-turbo", "nano-sdxl", "nano-lcm"):
        (cell,) = resolved(f"model={name}").cells
        assert cell.notes == () and "_class_name" in json.loads(cell.recipe.scheduler)
