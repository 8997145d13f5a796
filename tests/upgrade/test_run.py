"""An upgrade, from its inputs to its report."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.upgrade.reports import report
from tests.upgrade.wheels import make_wheel
from turbo_lab.api.upgrades import prepare_upgrade
from turbo_lab.upgrade.run import golden_row, run_upgrade
from turbo_lab.verdict import Verdict

SMALL = (
    "gate.goldens=[nano-turbo-1-step]",
    "gate.min_goldens=1",
    "gate.quality.r_precision=null",
    "gate.memory=0.1",
    "num_images=8",
    "num_threads=1",
)


def test_the_row_of_the_goldens_is_the_worst_of_them() -> None:
    regressed, passed = report().cases
    row = golden_row([regressed, passed], 2)
    assert (row.verdict, row.n) == (Verdict.REGRESSION, 2)
    assert row.note is not None
    assert row.note.startswith("1 of 2 identical to the bit; apple<1>: regression, first at vae (")
    assert golden_row([passed], 1).verdict == Verdict.PASS


def test_too_few_cases_are_uncovered() -> None:
    uncovered = replace(report().cases[1], verdict=Verdict.UNCOVERED)
    row = golden_row([report().cases[1], uncovered], 2)
    assert (row.verdict, row.n) == (Verdict.UNCOVERED, 1)
    assert "1 cases covered, 2 required" in (row.note or "")


def test_only_the_first_failures_are_named_in_the_note() -> None:
    cases = [replace(report().cases[0], name=f"case-{at}") for at in range(5)]
    note = golden_row(cases, 0).note or ""
    assert "case-2" in note and "case-3" not in note
    assert note.endswith("and 2 more")


@pytest.mark.slow
def test_a_package_that_draws_nothing_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.chdir(tmp_path)
    wheel = make_wheel(tmp_path, "lamp", "1.0")
    inputs = prepare_upgrade([str(wheel), *SMALL], installer="pip")
    found = run_upgrade(inputs, time.perf_counter())
    assert found.verdict == Verdict.PASS
    assert [case.identical for case in found.cases] == [True]
    assert found.identical_images is not None
    assert found.identical_images.same == found.identical_images.of == 8
    assert all(stage.cases == 0 for stage in found.stages)
    assert found.timing is not None and len(found.timing.candidate_blocks_s) == 12
    assert found.notes == (
        "not checked here: memory; run turbo-lab gate in the candidate's environment",
    )
    assert list(found.steps_s) == ["environment", "goldens", "quality", "latency"]
    assert not list(Path.cwd().glob("*.safetensors"))
