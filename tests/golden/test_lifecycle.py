"""Recording, accepting and rejecting on the shipped model."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.golden_cases import FAULTY, FreshDraws
from turbo_lab.documents.golden import Margin
from turbo_lab.errors import InputError, JudgementError
from turbo_lab.golden.check import check
from turbo_lab.golden.document import Acceptance, current_day
from turbo_lab.golden.fresh_process import Stages
from turbo_lab.golden.judgement import Judge
from turbo_lab.golden.library import GoldenLibrary
from turbo_lab.golden.lifecycle import Recording, accept, record, reject
from turbo_lab.golden.run_case import CaseRunner, Drawing, resolve_case

JUDGE = Judge({}, current_day())
MEANT = Recording(Acceptance("meant", "tests"), {}, processes=0, drawing=FAULTY)


@pytest.fixture
def own(library: GoldenLibrary, tmp_path: Path) -> GoldenLibrary:
    """A copy of ``library`` that a test may change."""
    shutil.copytree(library.root, tmp_path / "goldens")
    return GoldenLibrary(tmp_path / "goldens", library.content)


@pytest.fixture(scope="module")
def faulty_outcome(library: GoldenLibrary) -> str:
    """The outcome of ``two-steps`` with a fault in the pipeline."""
    case = resolve_case("two-steps", library.cases()["two-steps"])
    return CaseRunner([case], FAULTY).run(case).outcome


def test_nothing_is_recorded_that_a_fresh_process_does_not_reproduce(
    tmp_path: Path, library: GoldenLibrary, fresh_draws: FreshDraws
) -> None:
    empty = GoldenLibrary(tmp_path / "goldens", tmp_path / "content")
    stages = list(fresh_draws(library.cases())["two-steps"])
    index = [value.stage for value in stages].index("vae")
    off = stages[index].values.copy()
    off.flat[0] = np.nextafter(off.flat[0], np.inf, dtype=off.dtype)
    stages[index] = dataclasses.replace(stages[index], values=off)

    def one_bit_off(cases: Mapping[str, Sequence[str]]) -> dict[str, Stages]:
        assert list(cases) == ["two-steps"]
        return {"two-steps": tuple(stages)}

    recording = Recording(Acceptance("first", "tests"), {}, 1, Drawing(draw_fresh=one_bit_off))
    with pytest.raises(JudgementError, match="differs first at vae; nothing was recorded"):
        record(empty, {"two-steps": library.cases()["two-steps"]}, recording)
    assert not (tmp_path / "goldens").exists()


def test_accepting_keeps_the_thresholds_and_lifts_a_rejection(
    own: GoldenLibrary, faulty_outcome: str
) -> None:
    golden = own.read("two-steps")
    margins = {"T1": {"window_density": Margin(0.5, 0.1, 3)}}
    own.write_document(dataclasses.replace(golden, thresholds=margins))
    assert reject(own, "two-steps", "washed out", FAULTY) == faulty_outcome
    (failed,) = check(own, ["two-steps"], JUDGE, drawing=FAULTY)
    assert (failed.verdict.verdict, failed.verdict.message) == (
        "regression",
        "known bad: washed out",
    )
    (row,) = accept(own, ["two-steps"], MEANT)
    assert (row.outcome, row.parent) == (faulty_outcome, golden.outcome)
    assert row.was_known_bad == "washed out"
    (passed,) = check(own, ["two-steps"], JUDGE, drawing=FAULTY)
    assert passed.verdict.verdict == "pass"
    after = own.read("two-steps")
    assert (after.outcome, after.parent, dict(after.known_bad)) == (
        faulty_outcome,
        golden.outcome,
        {},
    )
    assert after.thresholds == margins


def test_an_acceptance_that_expires_leaves_the_anchor(
    own: GoldenLibrary, faulty_outcome: str
) -> None:
    golden = own.read("two-steps")
    until = dataclasses.replace(MEANT, acceptance=Acceptance("known bug", "tests", "2999-12-31"))
    (row,) = accept(own, ["two-steps"], until)
    assert (row.outcome, row.parent, row.expires) == (faulty_outcome, None, "2999-12-31")
    after = own.read("two-steps")
    assert (after.outcome, after.parent) == (golden.outcome, golden.parent)
    verdicts = [
        check(own, ["two-steps"], JUDGE, drawing=drawing)[0].verdict.verdict
        for drawing in (FAULTY, Drawing())
    ]
    assert verdicts == ["pass", "pass"]


def test_a_case_that_names_another_cell_now_is_neither_rejected_nor_accepted_for_a_while(
    own: GoldenLibrary,
) -> None:
    own.write_cases(own.cases() | {"two-steps": (*own.cases()["two-steps"], "guidance_scale=2")})
    until = dataclasses.replace(MEANT, acceptance=Acceptance("known bug", "tests", "2999-12-31"))
    with pytest.raises(InputError, match="golden two-steps: the case is another cell now"):
        accept(own, ["two-steps"], until)
    with pytest.raises(InputError, match="golden two-steps: the case is another cell now"):
        reject(own, "two-steps", "washed out")
