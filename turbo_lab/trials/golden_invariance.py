"""Invariance: the same work done in two ways gives the same images.

Each row of the suite runs the cases of the goldens in a second way and reports how
far the images are from the first. Some must be the same to the bit; if floating
point may round otherwise, the calibrated T1 thresholds are the tolerance.
"""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from turbo_lab.cards import ModelSource
from turbo_lab.documents.golden import Invariance, Thresholds, Tier
from turbo_lab.execute.resident import Weights
from turbo_lab.golden.fresh_process import DrawFresh
from turbo_lab.golden.judgement import CaseVerdict, Embed, Observation, judge
from turbo_lab.golden.lifecycle import today
from turbo_lab.golden.run_case import Case, CaseRunner, RecordedCase
from turbo_lab.progress import track
from turbo_lab.request.recipe import Batch, Layout
from turbo_lab.trials.harmless import HARMLESS, Run, own_rows, with_layout
from turbo_lab.trials.reanchor import anchored
from turbo_lab.trials.resumed import resumed_sweep
from turbo_lab.verdict import Verdict


def invariance(
    cases: Sequence[RecordedCase],
    thresholds: Thresholds,
    embed: Embed,
    *,
    draw_fresh: DrawFresh | None = None,
) -> list[Invariance]:
    """Run every row over the goldens' own cases; ``draw_fresh``: see :class:`CaseRunner`."""
    runner = CaseRunner([case for case, *_ in cases], draw_fresh=draw_fresh)
    cases = anchored(cases, runner)
    several = [one for one in cases if len(one[0].batch.layout.seeds) > 1]
    stacked = [one for one in cases if len(one[0].batch.recipe.lora) > 1]
    by_judgement = [(change.name, change.tier, change.run, cases) for change in HARMLESS]
    by_judgement += [
        ("prompt order", "T1", _turned, several),
        ("adapter order", "T1", _adapters_turned, stacked),
    ]
    rows = [
        partial(
            _by_judgement,
            name=name,
            tier=tier,
            run=run,
            cases=asked,
            runner=runner,
            judge_here=partial(judge, thresholds=thresholds, today=today(), embed=embed, tier=tier),
        )
        for name, tier, run, asked in by_judgement
    ]
    others = (_adapters_off, _shared_work, _resumed, _saved_and_loaded)
    rows += [partial(row, cases, runner) for row in others]
    return [row() for row in track(rows, "rows")]


def _by_judgement(
    *,
    name: str,
    tier: Tier,
    run: Run,
    cases: Sequence[RecordedCase],
    runner: CaseRunner,
    judge_here: Callable[..., CaseVerdict],
) -> Invariance:
    verdicts, worst = [], 0
    for case, golden, material in cases:
        seen = run(runner, case)
        verdicts.append(judge_here(golden, material, seen))
        worst = max(worst, _levels(material.tensors["pixels"], seen.pixels()))
    holds = all(found.verdict == Verdict.PASS for found in verdicts) if verdicts else None
    return Invariance(
        name=name,
        tier=tier,
        holds=holds,
        cases=len(cases),
        max_abs=worst,
        note="against the golden",
    )


def _turned(runner: CaseRunner, case: Case) -> Observation:
    """Reverse the rows of a batch: an image keeps its prompt and its seed."""
    layout = case.batch.layout
    turned = Layout(layout.prompts[::-1], layout.seeds[::-1])
    seen = runner.run(with_layout(case, turned))
    return own_rows(seen, case, slice(None, None, -1), len(layout.seeds))


def _adapters_turned(runner: CaseRunner, case: Case) -> Observation:
    """Reverse the adapters; sums of floats depend on their order, so images may round otherwise."""
    recipe = dataclasses.replace(case.batch.recipe, lora=case.batch.recipe.lora[::-1])
    batch = Batch(recipe, case.batch.layout)
    cell = dataclasses.replace(case.cell, recipe=recipe, batches=(batch,))
    seen = runner.run(dataclasses.replace(case, cell=cell))
    return dataclasses.replace(seen, cell_id=case.cell.cell_id)


def _adapters_off(cases: Sequence[RecordedCase], runner: CaseRunner) -> Invariance:
    """Compare the base's weights before adapters are put on and after they are taken off."""
    fitting = [case for case, *_ in cases if case.batch.recipe.lora]
    holds = True
    for case in fitting:
        bare = dataclasses.replace(case.batch.recipe, lora=())
        runner.resident.prepare(bare)
        before = _weights_digest(runner.resident.pipeline)
        runner.resident.prepare(case.batch.recipe)
        runner.resident.prepare(bare)
        holds &= _weights_digest(runner.resident.pipeline) == before
    note = "sha256 of every base weight"
    asked = holds if fitting else None
    return Invariance(
        name="adapters on and off again",
        tier="T0",
        holds=asked,
        cases=len(fitting),
        max_abs=None,
        note=note,
    )


def _shared_work(cases: Sequence[RecordedCase], runner: CaseRunner) -> Invariance:
    """Reuse the encodings and the first UNet evaluation of another run."""
    worst = rows_alone = rows_taken_over = 0
    for case, *_ in cases:
        recipe, negative = case.batch.recipe, case.cell.negative_prompt
        longer = dataclasses.replace(recipe, num_inference_steps=recipe.num_inference_steps + 1)
        lone, worker = runner.worker(case), runner.worker(case)
        alone = lone.run(case.batch, negative).pixels
        worker.run(Batch(longer, case.batch.layout), negative)
        before = worker.work.unet_rows
        shared = worker.run(case.batch, negative).pixels
        rows_alone += lone.work.unet_rows
        rows_taken_over += lone.work.unet_rows - (worker.work.unet_rows - before)
        worst = max(worst, _levels(alone, shared))
    # Where nothing was taken over, equal images prove nothing.
    holds = worst == 0 and rows_taken_over > 0
    note = f"images; {rows_taken_over} of {rows_alone} UNet rows taken over"
    return Invariance(
        name="shared against unshared work",
        tier="T0",
        holds=holds,
        cases=len(cases),
        max_abs=worst,
        note=note,
    )


def _resumed(cases: Sequence[RecordedCase], runner: CaseRunner) -> Invariance:
    """Sweep all cases that one environment can draw, with and without a break."""
    name, of_first = "resumed against uninterrupted sweep", cases[0][0].sweep.fingerprint
    fitting = [case for case, *_ in cases if case.sweep.fingerprint == of_first]
    if len(fitting) < 2:
        return Invariance(
            name=name, tier="T0", holds=None, cases=0, max_abs=0, note="needs two cases"
        )
    found = resumed_sweep(fitting, runner.resident.weights)
    note = f"every stage's hash, image and record; cut off at {found.before_the_cut} batches"
    return Invariance(
        name=name,
        tier="T0",
        holds=found.equal,
        cases=len(fitting),
        max_abs=found.max_abs,
        note=note,
    )


def _saved_and_loaded(cases: Sequence[RecordedCase], runner: CaseRunner) -> Invariance:
    """Write the pipeline with ``save_pretrained`` and read it again."""
    fitting = [case for case, *_ in cases if not case.batch.recipe.lora]
    worst = 0
    for digest in dict.fromkeys(case.batch.recipe.model for case in fitting):
        of_model = [case for case in fitting if case.batch.recipe.model == digest]
        folder = Path(tempfile.mkdtemp(prefix="turbo-lab-saved-"))
        try:
            runner.resident.prepare(of_model[0].batch.recipe)
            runner.resident.pipeline.save_pretrained(folder, safe_serialization=True)
            weights = Weights({digest: ModelSource(folder)}, runner.resident.weights.adapters)
            again = CaseRunner(of_model, weights)
            for case in of_model:
                here, there = runner.run(case).pixels(), again.run(case).pixels()
                worst = max(worst, _levels(here, there))
        finally:
            shutil.rmtree(folder)
    holds = worst == 0 if fitting else None
    return Invariance(
        name="saved and loaded",
        tier="T0",
        holds=holds,
        cases=len(fitting),
        max_abs=worst,
        note="images",
    )


def _levels(first: Any, second: Any) -> int:
    return int(np.max(np.abs(first.astype(np.int16) - second.astype(np.int16))))


def _weights_digest(pipeline: Any) -> str:
    state = hashlib.sha256()
    for part in (pipeline.unet, pipeline.text_encoder, pipeline.text_encoder_2, pipeline.vae):
        for name, value in sorted(part.state_dict().items()):
            state.update(name.encode())
            state.update(value.detach().cpu().float().numpy().tobytes())
    return state.hexdigest()
