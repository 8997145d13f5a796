"""Invariance: the same work done in two ways.

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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from turbo_lab.golden.document import Golden, Margin
from turbo_lab.golden.judgement import Embed, Observation, judge
from turbo_lab.golden.library import Material
from turbo_lab.golden.lifecycle import today
from turbo_lab.golden.run_case import Case, CaseRunner
from turbo_lab.golden.tiers import Tier
from turbo_lab.progress import track
from turbo_lab.request.recipe import Batch, Layout
from turbo_lab.trials.harmless import HARMLESS, Run, own_rows, with_layout
from turbo_lab.trials.reanchor import anchored
from turbo_lab.trials.resumed import resumed_sweep
from turbo_lab.verdict import Verdict

Loaded = tuple[Case, Golden, Material]


@dataclass(frozen=True)
class Invariance:
    """One thing that must not matter."""

    name: str
    """Of the row."""
    tier: Tier
    """``T0``: to the bit; ``T1``: within the golden's calibrated thresholds."""
    holds: bool | None
    """Whether every case held; ``None`` where no case could be asked."""
    cases: int
    """Cases that could be asked."""
    max_abs: int | None
    """Largest difference of a pixel, in levels of 255; ``None`` where hashes were compared."""
    note: str
    """What was compared."""


def invariance(
    cases: Sequence[Loaded], thresholds: Mapping[str, Mapping[str, Margin]], embed: Embed
) -> list[Invariance]:
    """Every row, over the goldens' own cases."""
    runner = CaseRunner([case for case, *_ in cases])
    cases = anchored(cases, runner)
    several = [one for one in cases if len(one[0].batch.layout.seeds) > 1]
    stacked = [one for one in cases if len(one[0].batch.recipe.lora) > 1]
    by_judgement = [(change.name, change.tier, change.run, cases) for change in HARMLESS]
    by_judgement += [
        ("prompt order", "T1", _turned, several),
        ("adapter order", "T1", _adapters_turned, stacked),
    ]
    rows = [
        partial(_by_judgement, name, tier, run, asked, runner, thresholds, embed)
        for name, tier, run, asked in by_judgement
    ]
    others = (_adapters_off, _shared_work, _resumed, _saved_and_loaded)
    rows += [partial(row, cases, runner) for row in others]
    return [row() for row in track(rows, "rows")]


def _by_judgement(
    name: str,
    tier: Tier,
    run: Run,
    cases: Sequence[Loaded],
    runner: CaseRunner,
    thresholds: Mapping[str, Mapping[str, Margin]],
    embed: Embed,
) -> Invariance:
    verdicts, worst = [], 0
    for case, golden, material in cases:
        seen = run(runner, case)
        verdicts.append(judge(golden, material, seen, thresholds, today(), embed, tier))
        worst = max(worst, _levels(material.tensors["pixels"], seen.pixels()))
    holds = all(found.verdict == Verdict.PASS for found in verdicts) if verdicts else None
    return Invariance(name, tier, holds, len(cases), worst, "against the golden")


def _turned(runner: CaseRunner, case: Case) -> Observation:
    """The rows of a batch the other way round: an image keeps its prompt and its seed."""
    layout = case.batch.layout
    turned = Layout(layout.prompts[::-1], layout.seeds[::-1])
    seen = runner.run(with_layout(case, turned))
    return own_rows(seen, case, slice(None, None, -1), len(layout.seeds))


def _adapters_turned(runner: CaseRunner, case: Case) -> Observation:
    """Sums of floats depend on their order: the images may round otherwise."""
    recipe = dataclasses.replace(case.batch.recipe, lora=case.batch.recipe.lora[::-1])
    batch = Batch(recipe, case.batch.layout)
    cell = dataclasses.replace(case.cell, recipe=recipe, batches=(batch,))
    seen = runner.run(dataclasses.replace(case, cell=cell))
    return dataclasses.replace(seen, cell_id=case.cell.cell_id)


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
    asked = holds if fitting else None
    return Invariance("adapters on and off again", "T0", asked, len(fitting), None, note)


def _shared_work(cases: Sequence[Loaded], runner: CaseRunner) -> Invariance:
    """A run that takes over encodings and the first UNet evaluation of another."""
    worst = rows_alone = rows_taken_over = 0
    worker = runner.worker
    for case, *_ in cases:
        before = worker.work.unet_rows
        alone = runner.run(case).pixels()
        needed = worker.work.unet_rows - before
        recipe = case.batch.recipe
        longer = dataclasses.replace(recipe, num_inference_steps=recipe.num_inference_steps + 1)
        worker.prepare(recipe)
        worker.start_cold()
        with worker.image_lane():
            worker.run(Batch(longer, case.batch.layout), case.cell.negative_prompt)
            before = worker.work.unet_rows
            shared = worker.run(case.batch, case.cell.negative_prompt)
        rows_alone += needed
        rows_taken_over += needed - (worker.work.unet_rows - before)
        worst = max(worst, _levels(alone, shared))
    # Where nothing was taken over, equal images prove nothing.
    holds = worst == 0 and rows_taken_over > 0
    note = f"images; {rows_taken_over} of {rows_alone} UNet rows taken over"
    return Invariance("shared against unshared work", "T0", holds, len(cases), worst, note)


def _resumed(cases: Sequence[Loaded], runner: CaseRunner) -> Invariance:
    """One sweep of all cases that one environment can draw."""
    name, of_first = "resumed against uninterrupted sweep", cases[0][0].sweep.fingerprint
    fitting = [case for case, *_ in cases if case.sweep.fingerprint == of_first]
    if len(fitting) < 2:
        return Invariance(name, "T0", None, 0, 0, "needs two cases")
    found = resumed_sweep(fitting, runner.worker.weights)
    note = f"every stage's hash, image and record; cut off at {found.before_the_cut} batches"
    return Invariance(name, "T0", found.equal, len(fitting), found.max_abs, note)


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
    holds = worst == 0 if fitting else None
    return Invariance("saved and loaded", "T0", holds, len(fitting), worst, "images")


def _levels(first: Any, second: Any) -> int:
    return int(np.max(np.abs(first.astype(np.int16) - second.astype(np.int16))))


def _weights_digest(pipeline: Any) -> str:
    state = hashlib.sha256()
    for part in (pipeline.unet, pipeline.text_encoder, pipeline.text_encoder_2, pipeline.vae):
        for name, value in sorted(part.state_dict().items()):
            state.update(name.encode())
            state.update(value.detach().cpu().float().numpy().tobytes())
    return state.hexdigest()
