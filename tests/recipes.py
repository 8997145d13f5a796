"""Records whose images no test draws, with a recipe, settings and an origin."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from turbo_lab.environment import Fingerprint
from turbo_lab.request.parameters import Parameters
from turbo_lab.request.recipe import Recipe
from turbo_lab.store.provenance import Provenance, WeightsOrigin
from turbo_lab.store.record import CellStatus, Exactness, Record

RECIPE = Recipe(
    model="e" * 64,
    scheduler='{"_class_name":"EulerDiscreteScheduler"}',
    lora=(("a" * 64, 0.5),),
    num_inference_steps=1,
    guidance_scale=0.0,
    negative_prompt=None,
    width=64,
    height=64,
    dtype="float32",
    variant=(("vae", "b" * 64),),
)
PARAMETERS = Parameters(
    model="nano-turbo",
    prompts="demo",
    num_inference_steps=1,
    guidance_scale=0.0,
    resolution="64x64",
    batch_size=4,
    lora="none",
    seed=0,
    seed_mode="increment",
    negative_prompt=None,
    scheduler=None,
    dtype="float32",
    vae=None,
    num_images=4,
)
PROVENANCE = Provenance(
    models={"nano-turbo": WeightsOrigin("e" * 64, None, "Apache-2.0", "card.json")},
    adapters={},
    prompt_sets={"demo": "d" * 64},
    git=None,
)
RECORD = Record(
    record_id="c" * 64,
    cell_id="d" * 64,
    status=CellStatus.DONE,
    error=None,
    exactness=Exactness.EXACT,
    recipe=RECIPE,
    parameters=PARAMETERS,
    batches=(),
    fingerprint=Fingerprint({}, {}),
    provenance=PROVENANCE,
)


def record(**changes: Any) -> Record:
    """Return :data:`RECORD` with other values."""
    return replace(RECORD, **changes)
