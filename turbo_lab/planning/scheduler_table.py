"""Timesteps and sigmas of the known schedulers, in numpy.

Owns what the planner needs before torch is imported: where a run of n steps
starts, so that the first UNet evaluation can be shared over step counts. Only
schedulers in the table are known; for any other nothing is promised. Tested
against diffusers, and the sampler compares the real inputs again at run time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

# What every model of the family was trained with, and diffusers' default.
NUM_TRAIN_TIMESTEPS = 1000
# Schedulers that scale the model's input by their first sigma.
_SIGMA_SCALED = ("EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler")
# Schedulers that hand the latents over as they are.
_UNSCALED = ("DPMSolverMultistepScheduler", "DDIMScheduler")
KNOWN = (*_SIGMA_SCALED, *_UNSCALED, "LCMScheduler")
# Options that change the timesteps in ways this table does not follow.
_UNFOLLOWED = (
    "use_karras_sigmas",
    "use_exponential_sigmas",
    "use_beta_sigmas",
    "use_lu_lambdas",
    "use_flow_sigmas",
    "rescale_betas_zero_snr",
    "timestep_type",
    "trained_betas",
)


# Of second order: two UNet evaluations a step, and one in the last.
_TWO_A_STEP = (
    "HeunDiscreteScheduler",
    "KDPM2AncestralDiscreteScheduler",
    "KDPM2DiscreteScheduler",
)


def evaluations(scheduler: Mapping[str, Any], num_inference_steps: int) -> int:
    """UNet evaluations of a run, for each row of a call."""
    if scheduler["_class_name"] in _TWO_A_STEP:
        return 2 * num_inference_steps - 1
    return num_inference_steps


@dataclass(frozen=True)
class FirstStep:
    """The inputs of the first UNet call, apart from noise and conditioning."""

    timestep: float
    """Training timestep, 0 to 999."""
    sigma: float
    """Noise level that scales the input; 1.0 where the scheduler scales nothing."""


def first_evaluation(scheduler: Mapping[str, Any], num_inference_steps: int) -> FirstStep | None:
    """Return the start of a run; ``None`` for a scheduler that the table does not know."""
    name = scheduler["_class_name"]
    changed = any(scheduler.get(option) not in (None, False, "discrete") for option in _UNFOLLOWED)
    if name not in KNOWN or changed or num_inference_steps < 1:
        return None
    if name == "LCMScheduler":
        timestep = _lcm_start(scheduler, num_inference_steps)
        return None if timestep is None else FirstStep(timestep, 1.0)
    steps = timesteps(scheduler, num_inference_steps)
    if steps is None:
        return None
    sigma = _sigma(scheduler, steps[0]) if name in _SIGMA_SCALED else 1.0
    return FirstStep(float(steps[0]), sigma)


def timesteps(scheduler: Mapping[str, Any], num_inference_steps: int) -> np.ndarray | None:
    """(num_inference_steps,) float64 training timesteps, descending.

    Spacings of arXiv:2305.08891, table 2. ``None`` for an unknown spacing.
    """
    train = int(scheduler.get("num_train_timesteps", NUM_TRAIN_TIMESTEPS))
    spacing = scheduler.get("timestep_spacing", "linspace")
    offset = int(scheduler.get("steps_offset", 0))
    n = num_inference_steps
    if spacing == "trailing":
        return np.round(np.arange(train, 0, -train / n))[:n].astype(np.float64) - 1
    if scheduler["_class_name"] == "DPMSolverMultistepScheduler":
        return None  # its "leading" and "linspace" depend on lambda_min_clipped as well
    if spacing == "leading":
        return (np.arange(n) * (train // n)).round()[::-1].astype(np.float64) + offset
    if spacing == "linspace":
        return np.linspace(0, train - 1, n, dtype=np.float64)[::-1]
    return None


def _sigma(scheduler: Mapping[str, Any], timestep: float) -> float:
    """sqrt((1 - alpha_bar) / alpha_bar) at a timestep, between two by interpolation."""
    train = int(scheduler.get("num_train_timesteps", NUM_TRAIN_TIMESTEPS))
    start, end = float(scheduler["beta_start"]), float(scheduler["beta_end"])
    if scheduler.get("beta_schedule", "linear") == "scaled_linear":
        betas = np.linspace(start**0.5, end**0.5, train) ** 2
    else:
        betas = np.linspace(start, end, train)
    alpha_bar = np.cumprod(1 - betas)
    sigmas = np.sqrt((1 - alpha_bar) / alpha_bar)
    return float(np.interp(timestep, np.arange(train), sigmas))


def _lcm_start(scheduler: Mapping[str, Any], num_inference_steps: int) -> float | None:
    """Return LCM's timesteps, which start at its last distilled one for every step count."""
    train = int(scheduler.get("num_train_timesteps", NUM_TRAIN_TIMESTEPS))
    original = int(scheduler.get("original_inference_steps", 50))
    if num_inference_steps > original:
        return None
    return float(original * (train // original) - 1)
