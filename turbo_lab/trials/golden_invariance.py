"""Invariance: the same work, done in two ways, gives the same images.

Each row of the suite runs golden cases in a second way and reports how far the images are
from those of the first. Some rows demand equal bits. Where floating point may round in another
way, the calibrated thresholds of T1 are the tolerance.
"""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from turbo_lab.cards import ModelSource
from turbo_lab.documents.golden import Invariance, Tier
from turbo_lab.golden.judgement import Judge
from turbo_lab.golden.observation import Observation
from turbo_lab.golden.run_case import SWEEP_DRAWING, Case, CaseRunner, Drawing, RecordedCase
from turbo_lab.golden.stages import Values
from turbo_lab.planning.work import start_key
from turbo_lab.progress import track
from turbo_lab.request.recipe import Batch, Recipe
from turbo_lab.trials.harmless import HARMLESS, Run, own_rows, with_layout
from turbo_lab.trials.reanchor import anchored
from turbo_lab.trials.resumed import resumed_sweep
from turbo_lab.verdict import Verdict


@dataclass(frozen=True)
class _JudgedRow:
    """A row that judges each case against its golden."""

    name: str
    """Name in the table."""
    tier: Tier
    """Tier that must tolerate the second way."""
    run: Run
    """Function that runs a case in the second way."""
    cases: Sequence[RecordedCase]
    """Cases that can be run in that way."""


def invariance(
    cases: Sequence[RecordedCase], judge: Judge, *, drawing: Drawing = SWEEP_DRAWING
) -> list[Invariance]:
    """Run every row over the cases."""
    runner = CaseRunner([one.case for one in cases], drawing)
    cases = anchored(cases, runner)
    several = [one for one in cases if len(one.case.batch.layout.seeds) > 1]
    stacked = [one for one in cases if len(one.case.batch.recipe.lora) > 1]
    judged = [
        *(_JudgedRow(change.name, change.tier, change.run, cases) for change in HARMLESS),
        _JudgedRow("prompt order", "T1", _reverse_rows, several),
        _JudgedRow("adapter order", "T1", _reverse_adapters, stacked),
    ]
    rows = [partial(_judge_row, row, runner, judge) for row in judged]
    others = (_adapters_off, _shared_work, _resumed, _saved_and_loaded)
    rows += [partial(row, cases, runner) for row in others]
    return [row() for row in track(rows, "rows")]


def _judge_row(row: _JudgedRow, runner: CaseRunner, judge: Judge) -> Invariance:
    verdicts, largest = [], 0
    for case, golden, stored in row.cases:
        seen = row.run(runner, case)
        verdicts.append(judge.judge(golden, stored, seen, row.tier).verdict)
        largest = max(largest, _levels(stored.pixels, seen.pixels))
    holds = all(verdict == Verdict.PASS for verdict in verdicts) if verdicts else None
    return Invariance(
        name=row.name,
        tier=row.tier,
        holds=holds,
        cases=len(row.cases),
        max_abs=largest,
        note="with the golden",
    )


def _reverse_rows(runner: CaseRunner, case: Case) -> Observation:
    """Run a batch with its rows in reverse order; each image keeps its prompt and its seed."""
    layout = case.batch.layout
    seen = runner.run(with_layout(case, layout.part(slice(None, None, -1))))
    return own_rows(seen, case, slice(None, None, -1), len(layout.seeds))


def _reverse_adapters(runner: CaseRunner, case: Case) -> Observation:
    """Run a case with its adapters in reverse order, which changes how sums of floats round."""
    recipe = dataclasses.replace(case.batch.recipe, lora=case.batch.recipe.lora[::-1])
    batch = Batch(recipe, case.batch.layout)
    cell = dataclasses.replace(case.cell, recipe=recipe, batches=(batch,))
    seen = runner.run(dataclasses.replace(case, cell=cell))
    return dataclasses.replace(seen, cell_id=case.cell.cell_id)


def _adapters_off(cases: Sequence[RecordedCase], runner: CaseRunner) -> Invariance:
    """Compare the base model's weights before adapters are loaded and after they are removed."""
    fitting = [one.case for one in cases if one.case.batch.recipe.lora]
    holds = True
    for case in fitting:
        bare = dataclasses.replace(case.batch.recipe, lora=())
        runner.resident.prepare(bare)
        before = _weights_digest(runner.resident.pipeline)
        runner.resident.prepare(case.batch.recipe)
        runner.resident.prepare(bare)
        holds &= _weights_digest(runner.resident.pipeline) == before
    return Invariance(
        name="adapters on and off again",
        tier="T0",
        holds=holds if fitting else None,
        cases=len(fitting),
        max_abs=None,
        note="sha256 of every base weight",
    )


def _shared_work(cases: Sequence[RecordedCase], runner: CaseRunner) -> Invariance:
    """Reuse the encodings and the first UNet evaluation of another run."""
    worst = rows_alone = rows_reused = 0
    sharing = [(one.case, other) for one in cases if (other := _shares_start(one.case))]
    for case, other in sharing:
        negative = case.cell.negative_prompt
        lone, worker = runner.worker(case), runner.worker(case)
        alone = lone.run(case.batch, negative).pixels
        worker.run(Batch(other, case.batch.layout), negative)
        before = worker.work.unet_rows
        shared = worker.run(case.batch, negative).pixels
        rows_alone += lone.work.unet_rows
        rows_reused += lone.work.unet_rows - (worker.work.unet_rows - before)
        worst = max(worst, _levels(alone, shared))
    # If nothing was reused, equal images prove nothing.
    holds = worst == 0 and rows_reused > 0
    note = f"images; {rows_reused} of {rows_alone} UNet rows were reused"
    return Invariance(
        name="shared against unshared work",
        tier="T0",
        holds=holds if sharing else None,
        cases=len(sharing),
        max_abs=worst,
        note=note if sharing else "no other run begins like one of these cases",
    )


def _shares_start(case: Case) -> Recipe | None:
    """Return the recipe of a longer run that begins like the case; ``None``: there is none.

    Twice the steps begin at the same timestep on a source image, one step more does from noise.
    """
    recipe = case.batch.recipe
    steps = recipe.num_inference_steps
    longer = dataclasses.replace(
        recipe, num_inference_steps=steps + 1 if recipe.strength is None else 2 * steps
    )
    return longer if start_key(recipe) == start_key(longer) is not None else None


def _resumed(cases: Sequence[RecordedCase], runner: CaseRunner) -> Invariance:
    """Sweep all cases of the first one's environment, with and without an interruption."""
    name, fingerprint = "resumed against uninterrupted sweep", cases[0].case.sweep.fingerprint
    fitting = [one.case for one in cases if one.case.sweep.fingerprint == fingerprint]
    if len(fitting) < 2:
        return Invariance(
            name=name, tier="T0", holds=None, cases=0, max_abs=0, note="needs two cases"
        )
    found = resumed_sweep(fitting, runner.resident.weights)
    interrupted = f"interrupted at {found.before_interruption} batches"
    return Invariance(
        name=name,
        tier="T0",
        holds=found.equal,
        cases=len(fitting),
        max_abs=found.max_abs,
        note=f"every stage's hash, image and record; {interrupted}",
    )


def _saved_and_loaded(cases: Sequence[RecordedCase], runner: CaseRunner) -> Invariance:
    """Write the pipeline with ``save_pretrained`` and read it again."""
    fitting = [one.case for one in cases if not one.case.batch.recipe.lora]
    worst = 0
    for digest in dict.fromkeys(case.batch.recipe.model for case in fitting):
        of_model = [case for case in fitting if case.batch.recipe.model == digest]
        folder = Path(tempfile.mkdtemp(prefix="turbo-lab-saved-"))
        try:
            runner.resident.prepare(of_model[0].batch.recipe)
            runner.resident.pipeline.save_pretrained(folder, safe_serialization=True)
            weights = dataclasses.replace(
                runner.resident.weights, models={digest: ModelSource(folder)}
            )
            again = CaseRunner(of_model, weights=weights)
            for case in of_model:
                worst = max(worst, _levels(runner.run(case).pixels, again.run(case).pixels))
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


def _levels(first: Values, second: Values) -> int:
    """Return the largest difference between two pixels, in levels of 255."""
    return int(np.max(np.abs(first.astype(np.int16) - second.astype(np.int16))))


def _weights_digest(pipeline: Any) -> str:
    state = hashlib.sha256()
    for part in (pipeline.unet, pipeline.text_encoder, pipeline.text_encoder_2, pipeline.vae):
        for name, value in sorted(part.state_dict().items()):
            state.update(name.encode())
            state.update(value.detach().cpu().float().numpy().tobytes())
    return state.hexdigest()
