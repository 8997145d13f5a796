"""Golden cases of two environments, and the verdict on each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.golden_cases import Loaded
from turbo_lab.golden.check import library_judge
from turbo_lab.golden.fresh_process import write_stages
from turbo_lab.golden.library import GoldenLibrary
from turbo_lab.golden.observation import Observation
from turbo_lab.golden.run_case import CaseRunner
from turbo_lab.upgrade.goldens import (
    Run,
    compare_case,
    differing,
    read_runs,
    stage_changes,
    with_causes,
)
from turbo_lab.upgrade.messages import DrawnCase, DrawnCases
from turbo_lab.verdict import Verdict

NAME = "two-steps"


@pytest.fixture(scope="module")
def seen(runner: CaseRunner, loaded: Loaded) -> Observation:
    return runner.run(next(one.case for one in loaded if one.case.name == NAME))


def run_of(seen: Observation) -> Run:
    keys, options = seen.fingerprint.keys, seen.fingerprint.options
    return Run(DrawnCase(NAME, seen.cell_id, keys=keys, options=options), seen)


def failed(error: str, is_missing: bool = False) -> Run:
    return Run(DrawnCase(NAME, error=error, is_missing=is_missing), None)


def changed(seen: Observation, stage: str, by: float) -> Observation:
    """Return a run of diffusers 99 in which a stage and all after it differ."""
    names = [one.stage for one in seen.stages]
    keys = {**seen.fingerprint.keys, "diffusers": "99"}
    stages = tuple(
        replace(one, values=(one.values + np.asarray(by).astype(one.values.dtype)))
        if names.index(one.stage) >= names.index(stage)
        else one
        for one in seen.stages
    )
    return replace(seen, stages=stages, fingerprint=replace(seen.fingerprint, keys=keys))


def test_equal_runs_pass(library: GoldenLibrary, seen: Observation) -> None:
    found = compare_case(library, library_judge(library), run_of(seen), run_of(seen))
    assert (found.verdict, found.identical, found.first_difference) == (Verdict.PASS, True, None)
    assert (found.golden, found.golden_here) == (Verdict.PASS, Verdict.PASS)


@pytest.mark.parametrize(("by", "verdict"), [(1e-7, Verdict.PASS), (0.5, Verdict.REGRESSION)])
def test_a_difference_is_judged_by_its_size_and_named_by_its_stage(
    by: float, verdict: Verdict, library: GoldenLibrary, seen: Observation
) -> None:
    there = run_of(changed(seen, "latents.1", by))
    found = compare_case(library, library_judge(library), run_of(seen), there)
    assert found.first_difference is not None
    assert (found.verdict, found.first_difference.stage) == (verdict, "latents.1")
    assert found.identical is False
    assert differing({NAME: found}) == [NAME]


def test_what_fails_here_too_is_not_the_upgrades(library: GoldenLibrary, seen: Observation) -> None:
    other = changed(seen, "latents.0", 0.5)
    found = compare_case(library, library_judge(library), run_of(other), run_of(other))
    assert (found.golden, found.golden_here) == (Verdict.REGRESSION, Verdict.REGRESSION)
    assert found.verdict == Verdict.PASS
    assert "this environment does not pass the golden either" in found.message


@pytest.mark.parametrize(
    ("here", "there", "verdict"),
    [
        (None, "ImportError: x", Verdict.ERROR),
        ("ImportError: x", None, Verdict.ERROR),
        ("no GPU", "no GPU", Verdict.UNCOVERED),
    ],
)
def test_a_case_that_cannot_be_drawn(
    here: str | None,
    there: str | None,
    verdict: Verdict,
    library: GoldenLibrary,
    seen: Observation,
) -> None:
    runs = [run_of(seen) if error is None else failed(error) for error in (here, there)]
    found = compare_case(library, library_judge(library), runs[0], runs[1])
    assert (found.verdict, found.stages) == (verdict, ())
    assert (here or there or "") in found.message
    assert differing({NAME: found}) == []


def test_missing_files_here_are_uncovered(library: GoldenLibrary) -> None:
    missing = failed("absent", is_missing=True)
    found = compare_case(library, library_judge(library), missing, missing)
    assert (found.verdict, found.golden_here) == (Verdict.UNCOVERED, Verdict.UNCOVERED)


def test_a_case_without_a_golden_is_uncovered(tmp_path: Path, seen: Observation) -> None:
    empty = GoldenLibrary(tmp_path)
    found = compare_case(empty, library_judge(empty), run_of(seen), run_of(seen))
    assert (found.verdict, found.identical) == (Verdict.UNCOVERED, True)


def test_causes_are_stages_that_differ_on_equal_inputs(
    library: GoldenLibrary, seen: Observation
) -> None:
    there = run_of(changed(seen, "unet.1", 0.5))
    found = compare_case(library, library_judge(library), run_of(seen), there)
    only_unet = replace(
        seen,
        stages=tuple(
            replace(one, values=one.values + np.float32(0.5)) if one.stage == "unet.1" else one
            for one in seen.stages
        ),
    )
    explained = with_causes(found, run_of(seen), run_of(only_unet))
    assert explained.causes == ("unet.1",)
    kinds = {one.kind: one for one in stage_changes([explained])}
    assert (kinds["unet"].first_in, kinds["unet"].cause_in, kinds["unet"].cases) == (1, 1, 1)
    assert kinds["unet"].max_abs == pytest.approx(0.5, rel=1e-5)
    assert (kinds["noise"].cases, kinds["noise"].max_abs) == (0, None)
    assert (kinds["vae"].cases, kinds["vae"].first_in) == (1, 0)
    assert with_causes(found, run_of(seen), failed("x")) == found


def test_runs_are_read_from_an_answer_and_its_file(tmp_path: Path, seen: Observation) -> None:
    file = tmp_path / "stages.safetensors"
    write_stages(file, {NAME: seen.stages})
    answer = DrawnCases((run_of(seen).drawn, DrawnCase("other", error="x")))
    found = read_runs(answer, file)
    assert found[NAME].seen is not None and found[NAME].seen.outcome == seen.outcome
    assert found["other"].seen is None
