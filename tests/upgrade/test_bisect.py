"""Bisections whose change is known."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.golden_cases import Loaded
from tests.upgrade.searches import CASE, Version, keep, search
from turbo_lab.documents.upgrade import BisectReport
from turbo_lab.golden.observation import Observation
from turbo_lab.golden.run_case import CaseRunner
from turbo_lab.upgrade.bisect import run_bisect

pytestmark = pytest.mark.usefixtures("in_folder")

SAME, VAE, UNET = Version(), Version(changed="vae"), Version(changed="unet.0")
BROKEN = Version(skip="cannot be installed: no wheel")


@pytest.fixture(scope="module")
def seen(runner: CaseRunner, loaded: Loaded) -> Observation:
    return runner.run(next(one.case for one in loaded if one.case.name == CASE))


Run = Callable[..., BisectReport]


@pytest.fixture
def run(tmp_path: Path, seen: Observation) -> Run:
    def bisect(versions: Sequence[Version], test: str = "bits", all_: bool = False) -> BisectReport:
        inputs = replace(search(tmp_path, seen, versions, test), finds_all=all_)
        return run_bisect(inputs, time.perf_counter())

    return bisect


def test_a_change_is_found_with_its_stage_and_size(run: Run) -> None:
    found = run([SAME] * 7 + [VAE] * 5)
    assert (found.outcome, found.reference, found.exit_code) == ("found", "1.0", 0)
    (change,) = found.changes
    assert (change.last_same, change.first_changed, change.skipped) == ("1.6", "1.7", ())
    assert (change.first_stage, change.cause) == ("vae", "lamp")
    vae = next(one for one in change.stages if one.kind == "vae")
    assert vae.max_abs == pytest.approx(1, rel=1e-5)
    tested = [one.version for one in found.versions if one.status != "untested"]
    assert len(tested) <= 6  # both ends, and four between them


def test_versions_that_cannot_be_tested_are_skipped_and_said(run: Run) -> None:
    found = run([BROKEN, SAME, SAME, BROKEN, VAE, VAE, BROKEN])
    assert found.reference == "1.1"
    (change,) = found.changes
    assert (change.last_same, change.first_changed, change.skipped) == ("1.2", "1.4", ("1.3",))
    assert found.exit_code == 3
    by_version = {one.version: one for one in found.versions}
    assert by_version["1.0"].status == by_version["1.6"].status == "skipped"
    assert by_version["1.0"].note == "cannot be installed: no wheel"


def test_no_change_is_an_outcome(run: Run) -> None:
    found = run([SAME] * 6)
    assert (found.outcome, found.changes, found.exit_code) == ("no change", (), 0)
    assert [one.status for one in found.versions].count("untested") == 4


def test_a_first_version_that_is_bad_already_is_an_outcome(run: Run) -> None:
    found = run([VAE, VAE, SAME], "golden")
    assert (found.outcome, found.reference) == ("changed from the start", "1.0")
    assert (found.changes, found.exit_code) == ((), 0)


def test_nothing_that_can_be_tested_is_an_outcome(run: Run) -> None:
    found = run([BROKEN, BROKEN])
    assert (found.outcome, found.reference, found.exit_code) == ("untestable", None, 4)


def test_a_crash_is_found(run: Run) -> None:
    found = run([SAME, SAME, SAME, Version(failure="ImportError: x")], "crash")
    (change,) = found.changes
    assert (change.first_changed, change.note) == ("1.3", "ImportError: x")
    assert (change.first_stage, change.stages) == (None, ())


def test_several_changes_are_found_one_after_the_other(run: Run) -> None:
    versions = [SAME, SAME, VAE, VAE, VAE, UNET, UNET]
    assert len(run(versions).changes) == 1
    found = run(versions, all_=True)
    assert [(one.first_changed, one.first_stage) for one in found.changes] == [
        ("1.2", "vae"),
        ("1.5", "unet"),
    ]


@pytest.mark.parametrize(("kept", "cause"), [(SAME, "bulb"), (VAE, "lamp"), (BROKEN, None)])
def test_another_package_that_changes_too_is_kept_to_find_the_cause(
    kept: Version, cause: str | None, tmp_path: Path, seen: Observation
) -> None:
    before, after = replace(SAME, others={"bulb": "1"}), replace(VAE, others={"bulb": "2"})
    inputs = search(tmp_path, seen, [before, before, after])
    keep(inputs.folder, seen, "1.2+kept", replace(kept, others={"bulb": "1"}))
    (change,) = run_bisect(inputs, time.perf_counter()).changes
    (other,) = change.other_packages
    assert (other.name, other.here, other.candidate) == ("bulb", "1", "2")
    assert change.cause == cause
