"""What must not matter: the same work arrived at in two ways.

Each row of the suite runs the cases of the goldens in a second way and says how
far the images are from the first. Some must be the same to the bit; where
floating point may round otherwise, the calibrated T1 thresholds are the
tolerance.
"""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from turbo_lab.golden.golden import Golden, Margin
from turbo_lab.golden.judge import Embed, judge
from turbo_lab.golden.library import Material
from turbo_lab.golden.stages import mark
from turbo_lab.golden.tiers import Tier
from turbo_lab.spec import Batch, Layout
from turbo_lab.trials.anchor import anchored
from turbo_lab.trials.fresh import outcomes_in_fresh_process
from turbo_lab.trials.goldens import today
from turbo_lab.trials.harmless import HARMLESS
from turbo_lab.trials.run_case import Case, CaseRunner

Loaded = tuple[Case, Golden, Material]


@dataclass(frozen=True)
class Invariance:
    """One thing that must not matter."""

    name: str
    """Of the row."""
    tier: Tier
    """``T0``: to the bit; ``T1``: within the calibrated thresholds."""
    holds: bool
    """Whether every case held."""
    cases: int
    """Cases that could be asked."""
    max_abs: int
    """Largest difference of a pixel, in levels of 255."""
    note: str
    """What was compared."""


def invariance(
    cases: Sequence[Loaded], thresholds: Mapping[str, Mapping[str, Margin]], embed: Embed
) -> list[Invariance]:
    """Every row, over the goldens' own cases."""
    runner = CaseRunner([case for case, *_ in cases])
    cases = anchored(cases, runner)
    rows = [
        _by_judgement(change.name, change.tier, change.run, cases, runner, thresholds, embed)
        for change in HARMLESS
        if "thread" not in change.name
    ]
    rows.append(_fresh_process(cases, runner))
    rows.append(_prompt_order(cases, runner))
    rows.append(_adapters_off(cases, runner))
    rows.append(_adapter_order(cases, runner))
    rows.append(_shared_work(cases, runner))
    rows.append(_saved_and_loaded(cases, runner))
    return rows


def _by_judgement(
    name: str,
    tier: Tier,
    run: Callable[[CaseRunner, Case], Any],
    cases: Sequence[Loaded],
    runner: CaseRunner,
    thresholds: Mapping[str, Mapping[str, Margin]],
    embed: Embed,
) -> Invariance:
    holds, worst = True, 0
    for case, golden, material in cases:
        seen = run(runner, case)
        verdict = judge(golden, material, seen, thresholds, today(), embed, tier)
        holds &= verdict.verdict == "pass"
        worst = max(worst, _levels(material.tensors["pixels"], seen.pixels()))
    return Invariance(name, tier, holds, len(cases), worst, "against the golden")


def _fresh_process(cases: Sequence[Loaded], runner: CaseRunner) -> Invariance:
    fresh = outcomes_in_fresh_process({c.name: golden.overrides for c, golden, _ in cases})
    holds = all(
        fresh[case.name][value.stage] == mark(value).sha256
        for case, *_ in cases
        for value in runner.run(case).stages
    )
    return Invariance("a fresh process", "T0", holds, len(cases), 0, "every stage's hash")


def _prompt_order(cases: Sequence[Loaded], runner: CaseRunner) -> Invariance:
    """The rows of a batch the other way round: an image keeps its prompt and its seed."""
    fitting = [case for case, *_ in cases if len(case.batch.layout.seeds) > 1]
    worst = 0
    for case in fitting:
        layout = case.batch.layout
        turned = Layout(layout.prompts[::-1], layout.seeds[::-1])
        batch = Batch(case.batch.recipe, turned)
        cell = dataclasses.replace(case.cell, batches=(batch,))
        other = runner.run(dataclasses.replace(case, cell=cell)).pixels()[::-1]
        worst = max(worst, _levels(runner.run(case).pixels(), other))
    return Invariance(
        "prompt order", "T1", worst <= 2, len(fitting), worst, "images of the turned batch"
    )


def _adapters_off(cases: Sequence[Loaded], runner: CaseRunner) -> Invariance:
    """The base's weights before adapters were put on, and after they were taken off."""
    fitting = [case for case, *_ in cases if case.batch.recipe.lora]
    holds = True
    for case in fitting:
        bare = dataclasses.replace(case.batch.recipe, lora=())
        runner.worker.prepare(bare)
        before = _weights_digest(runner.worker.pipeline())
        runner.worker.prepare(case.batch.recipe)
        runner.worker.prepare(bare)
        holds &= _weights_digest(runner.worker.pipeline()) == before
    note = "sha256 of every base weight"
    return Invariance("adapters on and off again", "T0", holds, len(fitting), 0, note)


def _adapter_order(cases: Sequence[Loaded], runner: CaseRunner) -> Invariance:
    """Sums of floats depend on their order: the images may round otherwise."""
    fitting = [case for case, *_ in cases if len(case.batch.recipe.lora) > 1]
    worst = 0
    for case in fitting:
        recipe = dataclasses.replace(case.batch.recipe, lora=case.batch.recipe.lora[::-1])
        batch = Batch(recipe, case.batch.layout)
        cell = dataclasses.replace(case.cell, recipe=recipe, batches=(batch,))
        other = runner.run(dataclasses.replace(case, cell=cell)).pixels()
        worst = max(worst, _levels(runner.run(case).pixels(), other))
    return Invariance("adapter order", "T1", worst <= 2, len(fitting), worst, "images")


def _shared_work(cases: Sequence[Loaded], runner: CaseRunner) -> Invariance:
    """A run that takes over encodings and the first UNet evaluation of another."""
    worst = 0
    for case, *_ in cases:
        alone = runner.run(case).pixels()
        recipe = case.batch.recipe
        longer = dataclasses.replace(recipe, num_inference_steps=recipe.num_inference_steps + 1)
        worker = runner.worker
        worker.prepare(recipe)
        worker.start_cold()
        with worker.image_lane():
            worker.run(Batch(longer, case.batch.layout), case.cell.negative_prompt)
            shared = worker.run(case.batch, case.cell.negative_prompt)
        worst = max(worst, _levels(alone, shared))
    return Invariance("shared against unshared work", "T0", worst == 0, len(cases), worst, "images")


def _saved_and_loaded(cases: Sequence[Loaded], runner: CaseRunner) -> Invariance:
    """A pipeline that was written with ``save_pretrained`` and read again."""
    from turbo_lab.execute.worker import Weights, Worker

    fitting = [case for case, *_ in cases if not case.batch.recipe.lora]
    worst = 0
    for digest in dict.fromkeys(case.batch.recipe.model for case in fitting):
        of_model = [case for case in fitting if case.batch.recipe.model == digest]
        folder = Path(tempfile.mkdtemp(prefix="turbo-lab-saved-"))
        try:
            runner.worker.prepare(of_model[0].batch.recipe)
            runner.worker.pipeline().save_pretrained(folder, safe_serialization=True)
            again = CaseRunner(of_model)
            weights = Weights({digest: folder}, runner.worker.weights.adapters)
            again.worker = Worker(weights, again.worker.device, again.worker.num_threads)
            for case in of_model:
                here, there = runner.run(case).pixels(), again.run(case).pixels()
                worst = max(worst, _levels(here, there))
        finally:
            shutil.rmtree(folder)
    return Invariance("saved and loaded", "T0", worst == 0, len(fitting), worst, "images")


def _levels(first: Any, second: Any) -> int:
    return int(np.max(np.abs(first.astype(np.int16) - second.astype(np.int16))))


def _weights_digest(pipeline: Any) -> str:
    state = hashlib.sha256()
    for part in (pipeline.unet, pipeline.text_encoder, pipeline.text_encoder_2, pipeline.vae):
        for name, value in sorted(part.state_dict().items()):
            state.update(name.encode())
            state.update(value.detach().cpu().float().numpy().tobytes())
    return state.hexdigest()
