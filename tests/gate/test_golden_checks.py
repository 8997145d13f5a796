"""Checks of a gate that run golden cases."""

from __future__ import annotations

import pytest

from tests.golden_cases import Loaded
from turbo_lab.errors import InputError
from turbo_lab.gate.golden_checks import check_goldens, loaded_cases
from turbo_lab.gate.policy import Policy
from turbo_lab.golden.library import GoldenLibrary


def policy(**fields: object) -> Policy:
    return Policy.from_config({"name": "mine", "goldens": "all", **fields})


def test_goldens_and_their_coverage_are_judged(library: GoldenLibrary, loaded: Loaded) -> None:
    model = loaded[0].case.cell.recipe.model
    wanted = policy(coverage=["batch", "lora"], min_goldens=2)
    goldens, coverage = check_goldens(wanted, [library], model)
    assert (goldens.verdict, goldens.n, goldens.note) == ("pass", 2, "2 at T0")
    assert coverage.verdict == "uncovered" and coverage.note == "no judged golden covers lora"


def test_goldens_of_other_weights_judge_the_code_only(library: GoldenLibrary) -> None:
    (row,) = check_goldens(policy(goldens=["two-steps"], min_goldens=2), [library], "e" * 64)
    assert row.verdict == "uncovered" and "1 cases covered, 2 required" in str(row.note)
    assert "none has the candidate's weights, so they judge the installed code" in str(row.note)


def test_cases_are_loaded_by_name_in_the_given_order(library: GoldenLibrary) -> None:
    found = loaded_cases([library], ["two-steps", "guided-batch"])
    assert [one.case.name for one in found] == ["two-steps", "guided-batch"]
    found = loaded_cases([library], ["guided-batch"])
    assert [one.case.name for one in found] == ["guided-batch"]
    assert {one.case.name for one in loaded_cases([library], [])} == {"two-steps", "guided-batch"}
    with pytest.raises(InputError, match="^a, b: no golden yet; run turbo-lab golden record"):
        loaded_cases([library], ["a", "two-steps", "b"])
