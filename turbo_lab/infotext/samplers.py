"""Names of samplers and schedules in A1111 and Forge, and the schedulers of diffusers they mean.

The pairs follow diffusers' own table of schedulers ("k-diffusion to diffusers"); schedules follow
A1111's ``sd_schedulers.py``. Owns which of them are only near.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from turbo_lab.request.scheduler import takes_key

Entries = Mapping[str, object]
_SPACING = "timestep_spacing"
_KARRAS, _EXPONENTIAL, _BETA = "use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas"


@dataclass(frozen=True)
class _Sampler:
    """A sampler of A1111 as a scheduler of diffusers."""

    scheduler: str
    entries: Entries = field(default_factory=dict)
    schedule: str = "uniform"  # what "Automatic" means for it
    is_near: bool = False


_SDE: Entries = {"algorithm_type": "sde-dpmsolver++", "solver_order": 2}
# The first name of a scheduler is the one that is written.
_SAMPLERS: Mapping[str, _Sampler] = {
    "Euler": _Sampler("EulerDiscreteScheduler"),
    "Euler a": _Sampler("EulerAncestralDiscreteScheduler"),
    "DPM++ 2M": _Sampler(
        "DPMSolverMultistepScheduler",
        {"algorithm_type": "dpmsolver++", "solver_order": 2},
        "karras",
    ),
    "DPM++ 2M SDE": _Sampler("DPMSolverMultistepScheduler", _SDE, "karras"),
    "DPM++ 3M SDE": _Sampler(
        "DPMSolverMultistepScheduler", {**_SDE, "solver_order": 3}, "exponential"
    ),
    "DPM++ SDE": _Sampler("DPMSolverSinglestepScheduler", {}, "karras", is_near=True),
    "DPM++ 2S a": _Sampler("DPMSolverSinglestepScheduler", {}, "karras", is_near=True),
    "DPM2": _Sampler("KDPM2DiscreteScheduler", {}, "karras"),
    "DPM2 a": _Sampler("KDPM2AncestralDiscreteScheduler", {}, "karras"),
    "Heun": _Sampler("HeunDiscreteScheduler"),
    "LMS": _Sampler("LMSDiscreteScheduler"),
    "DDIM": _Sampler("DDIMScheduler", {}, "ddim"),
    "DDPM": _Sampler("DDPMScheduler", {}, "ddim", is_near=True),
    "UniPC": _Sampler("UniPCMultistepScheduler", {}, "uniform", is_near=True),
    "LCM": _Sampler("LCMScheduler", {}, ""),
    "TCD": _Sampler("TCDScheduler", {}, ""),
    "DEIS": _Sampler("DEISMultistepScheduler", {}, "uniform", is_near=True),
    "SA Solver": _Sampler("SASolverScheduler", {}, "uniform", is_near=True),
}
_SCHEDULES: Mapping[str, Entries] = {
    "": {},
    "uniform": {_SPACING: "linspace"},
    "normal": {_SPACING: "linspace"},
    "karras": {_SPACING: "linspace", _KARRAS: True},
    "exponential": {_SPACING: "linspace", _EXPONENTIAL: True},
    "beta": {_SPACING: "linspace", _BETA: True},
    "sgm uniform": {_SPACING: "trailing"},
    "simple": {_SPACING: "trailing"},
    "turbo": {_SPACING: "trailing"},
    "ddim": {_SPACING: "leading"},
    "ddim uniform": {_SPACING: "leading"},
}
_SPACINGS = {"linspace": "Uniform", "trailing": "SGM Uniform", "leading": "DDIM"}
_SIGMAS = {_KARRAS: "Karras", _EXPONENTIAL: "Exponential", _BETA: "Beta"}


@dataclass(frozen=True)
class SamplerKeys:
    """A scheduler of diffusers, and what is not equal about it."""

    scheduler: str | None
    """Class of diffusers; ``None``: the model's own."""
    entries: Entries
    """Entries of its configuration."""
    notes: tuple[str, ...] = ()
    """Differences from the sampler that was named."""


def sampler_of(config: Entries) -> tuple[str, str | None]:
    """Return sampler and schedule type of a scheduler's configuration, in A1111's names.

    ``None``: the sampler needs no schedule type. A class that A1111 lacks keeps its name.
    """
    own = str(config.get("_class_name"))
    default = {"algorithm_type": "dpmsolver++", "solver_order": 2}
    found = [
        (name, sampler)
        for name, sampler in _SAMPLERS.items()
        if sampler.scheduler == own
        and all(
            config.get(key, default.get(key)) == value for key, value in sampler.entries.items()
        )
    ]
    name, sampler = found[0] if found else (own.removesuffix("Scheduler"), _Sampler(own))
    if not sampler.schedule:
        return name, None
    sigmas = next((text for key, text in _SIGMAS.items() if config.get(key)), None)
    return name, sigmas or _SPACINGS.get(str(config.get(_SPACING, "linspace")))


def scheduler_of(sampler: str, schedule: str | None) -> SamplerKeys:
    """Return the scheduler that the names of a sampler and a schedule type mean.

    ``schedule`` of ``None``: an older text, which names it after the sampler or not at all.
    """
    names = {name.lower(): name for name in _SAMPLERS}
    wanted = " ".join(sampler.lower().split())
    if schedule is None:
        ends = [end for end in _SCHEDULES if end and wanted.endswith(f" {end}")]
        if ends and wanted not in names:
            schedule = max(ends, key=len)
            wanted = wanted.removesuffix(f" {schedule}")
    if wanted not in names:
        note = f"Sampler: {sampler} has no scheduler in diffusers; the model's own draws instead"
        return SamplerKeys(None, {}, (note,))
    found = _SAMPLERS[names[wanted]]
    notes = []
    if found.is_near:
        notes.append(f"Sampler: {sampler} has only a near relative: {found.scheduler}")
    entries, more = _schedule(found, schedule)
    return SamplerKeys(found.scheduler, {**found.entries, **entries}, (*notes, *more))


def _schedule(sampler: _Sampler, named: str | None) -> tuple[Entries, list[str]]:
    """Return the entries of a schedule type, as far as the scheduler takes them."""
    wanted = " ".join((named or "automatic").lower().split())
    wanted = sampler.schedule if wanted == "automatic" else wanted
    notes = []
    if wanted not in _SCHEDULES:
        notes.append(f"Schedule type: {named} is unknown; Uniform is used")
        wanted = sampler.schedule and "uniform"
    entries = {
        key: value for key, value in _SCHEDULES[wanted].items() if takes_key(sampler.scheduler, key)
    }
    if lost := [key for key in _SIGMAS if key in _SCHEDULES[wanted] and key not in entries]:
        notes.append(f"Schedule type: {_SIGMAS[lost[0]]} is not for {sampler.scheduler}; ignored")
    return entries, notes
