"""Timesteps and sigmas of the known schedulers, in numpy.

Owns what the planner needs before torch is imported: where a run of n steps starts, so that
runs of several step counts can share the first UNet evaluation. Only the schedulers in the
table are known; a run with another one shares nothing. The table is tested against diffusers,
and the sampler compares the real inputs again at run time.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from turbo_lab.untrusted.json_text import parse_json

# The SDXL family was trained with this number of timesteps; it is diffusers' default.
NUM_TRAIN_TIMESTEPS = 1000
# Schedulers that scale the model's input by their first sigma.
_SIGMA_SCALED = ("EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler")
# Schedulers that pass the latents on unscaled.
_UNSCALED = ("DPMSolverMultistepScheduler", "DDIMScheduler")
KNOWN = (*_SIGMA_SCALED, *_UNSCALED, "LCMScheduler")
# Second-order schedulers: two UNet evaluations per step, one in the last step.
_TWO_PER_STEP = (
    "HeunDiscreteScheduler",
    "KDPM2AncestralDiscreteScheduler",
    "KDPM2DiscreteScheduler",
)
# Options that change the timesteps in a way that this table does not compute.
_NOT_COMPUTED = (
    "use_karras_sigmas",
    "use_exponential_sigmas",
    "use_beta_sigmas",
    "use_lu_lambdas",
    "use_flow_sigmas",
    "rescale_betas_zero_snr",
    "timestep_type",
    "trained_betas",
)


@dataclass(frozen=True)
class SchedulerConfig:
    """The entries of a scheduler's config that decide where a run starts."""

    class_name: str
    """Name of the diffusers class."""
    timestep_spacing: str = "linspace"
    """``linspace``, ``leading`` or ``trailing``: arXiv:2305.08891, table 2."""
    num_train_timesteps: int = NUM_TRAIN_TIMESTEPS
    """Number of timesteps in training."""
    steps_offset: int = 0
    """Offset of ``leading`` timesteps."""
    beta_start: float = 0.0001
    """First beta."""
    beta_end: float = 0.02
    """Last beta."""
    beta_schedule: str = "linear"
    """Interpolation of betas: ``linear`` or ``scaled_linear``."""
    original_inference_steps: int = 50
    """Number of timesteps that LCM was distilled with."""
    prediction_type: str | None = None
    """Quantity that the UNet predicts, such as ``epsilon``; ``None``: the config does not say."""
    is_computed: bool = True
    """``False`` if an option changes the timesteps in a way that the table does not compute."""

    @classmethod
    def from_json(cls, text: str) -> SchedulerConfig:
        """Return the entries of a config in JSON; absent ones get the defaults of Euler."""
        values = parse_json(text)
        known = {name: values[name] for name in _ENTRIES if values.get(name) is not None}
        changed = any(
            values.get(option) not in (None, False, "discrete") for option in _NOT_COMPUTED
        )
        return cls(class_name=values["_class_name"], is_computed=not changed, **known)


_ENTRIES = tuple(
    name
    for name in SchedulerConfig.__dataclass_fields__
    if name not in ("class_name", "is_computed")
)


@lru_cache(maxsize=4096)
def scheduler_config(text: str) -> SchedulerConfig:
    """Return the config in a recipe's ``scheduler``."""
    return SchedulerConfig.from_json(text)


@dataclass(frozen=True)
class FirstStep:
    """The inputs of the first UNet call, apart from noise and conditioning."""

    timestep: float
    """Training timestep, 0 to 999."""
    sigma: float
    """Noise level by which the input is scaled; 1.0 if the scheduler does not scale."""


def evaluations(config: SchedulerConfig, num_inference_steps: int) -> int:
    """Return the number of UNet evaluations in a run."""
    if config.class_name in _TWO_PER_STEP:
        return max(0, 2 * num_inference_steps - 1)
    return num_inference_steps


@lru_cache(maxsize=4096)
def first_evaluation(
    config: SchedulerConfig, num_inference_steps: int, skipped: int = 0
) -> FirstStep | None:
    """Return the start of a run; ``None`` for a scheduler that the table does not know.

    ``skipped``: number of steps at the beginning that are left out, on a source image.
    """
    if config.class_name not in KNOWN or not config.is_computed or num_inference_steps <= skipped:
        return None
    if config.class_name == "LCMScheduler":
        if skipped:
            return None
        timestep = _lcm_start(config, num_inference_steps)
        return None if timestep is None else FirstStep(timestep, 1.0)
    steps = timesteps(config, num_inference_steps)
    if steps is None:
        return None
    first = steps[skipped]
    sigma = _sigma(config, first) if config.class_name in _SIGMA_SCALED else 1.0
    return FirstStep(float(first), sigma)


def timesteps(config: SchedulerConfig, num_inference_steps: int) -> np.ndarray | None:
    """Return the training timesteps of a run: (num_inference_steps,) float64, descending.

    The spacings are those of arXiv:2305.08891, table 2; ``None`` for an unknown one.
    """
    train, n = config.num_train_timesteps, num_inference_steps
    if config.timestep_spacing == "trailing":
        return np.round(np.arange(train, 0, -train / n))[:n].astype(np.float64) - 1
    if config.class_name == "DPMSolverMultistepScheduler":
        return None  # its "leading" and "linspace" depend on lambda_min_clipped as well
    if config.timestep_spacing == "leading":
        steps = (np.arange(n) * (train // n)).round()[::-1].astype(np.float64)
        return steps + config.steps_offset
    if config.timestep_spacing == "linspace":
        return np.linspace(0, train - 1, n, dtype=np.float64)[::-1]
    return None


def _sigma(config: SchedulerConfig, timestep: float) -> float:
    """Return sqrt((1 - alpha_bar) / alpha_bar), interpolated between timesteps."""
    start, end, train = config.beta_start, config.beta_end, config.num_train_timesteps
    if config.beta_schedule == "scaled_linear":
        betas = np.linspace(start**0.5, end**0.5, train) ** 2
    else:
        betas = np.linspace(start, end, train)
    alpha_bar = np.cumprod(1 - betas)
    sigmas = np.sqrt((1 - alpha_bar) / alpha_bar)
    return float(np.interp(timestep, np.arange(train), sigmas))


def _lcm_start(config: SchedulerConfig, num_inference_steps: int) -> float | None:
    """Return LCM's first timestep, which is the last distilled one for every step count."""
    original = config.original_inference_steps
    if num_inference_steps > original:
        return None
    return float(original * (config.num_train_timesteps // original) - 1)
