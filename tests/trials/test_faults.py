"""Every fault is caught, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.golden_cases import Loaded
from turbo_lab.golden.document import Acceptance, current_day
from turbo_lab.golden.judgement import Judge
from turbo_lab.golden.library import GoldenLibrary
from turbo_lab.golden.lifecycle import Recording, record
from turbo_lab.golden.run_case import Case, CaseRunner, RecordedCase
from turbo_lab.trials.faults import FAULTS, Fault
from turbo_lab.trials.golden_calibration import load_cases
from turbo_lab.trials.golden_mutation import run_with

JUDGE = Judge({}, current_day())
Tried = list[tuple[RecordedCase, CaseRunner]]
_WITHOUT_LORA = [fault for fault in FAULTS if not fault.name.startswith("lora")]


def test_there_are_enough_faults() -> None:
    assert len(FAULTS) >= 16
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)


@pytest.fixture(scope="module")
def tried(
    loaded: Loaded, runner: CaseRunner, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Tried]:
    """The cases of all tests, and one of image to image, each with a runner."""
    made = GoldenLibrary(tmp_path_factory.mktemp("pictured"))
    words = ("image=shapes", "strength=0.5", "num_inference_steps=4", "num_images=2", "seed=7")
    record(made, {"pictured": (*words, "num_threads=1")}, Recording(Acceptance("", ""), {}, 0))
    (pictured,) = load_cases(made)
    yield [*((one, runner) for one in loaded), (pictured, CaseRunner([pictured.case]))]


@pytest.mark.parametrize("fault", _WITHOUT_LORA, ids=lambda fault: fault.name)
def test_a_fault_is_caught_and_leaves_nothing_behind(fault: Fault, tried: Tried) -> None:
    fitting = [(one, runner) for one, runner in tried if _can_show(fault, one.case)]
    assert fitting, "no case can show it"
    verdicts = []
    for (case, golden, stored), runner in fitting:
        seen = run_with(fault, runner, case)
        verdicts.append(JUDGE.judge(golden, stored, seen).verdict)
        assert runner.run(case).outcome == golden.outcome
    assert "regression" in verdicts


def _can_show(fault: Fault, case: Case) -> bool:
    return fault.applies(case.batch, case.cell.negative_prompt)


@pytest.mark.parametrize(
    ("fault", "stage"),
    [
        ("source image not used", "unet.0"),
        ("strength off by one step", "unet.0"),
        ("source resized twice", "encode"),
        ("source encoded with another seed", "encode"),
        ("source encoded without sampling", "noise"),
        ("sources swapped in the batch", "encode"),
    ],
)
def test_faults_of_image_to_image_show_where_they_are_and_nowhere_else(
    fault: str, stage: str, tried: Tried
) -> None:
    (found,) = (one for one in FAULTS if one.name == fault)
    assert [one.case.name for one, _ in tried if _can_show(found, one.case)] == ["pictured"]
    (case, golden, stored), runner = tried[-1]
    verdict = JUDGE.judge(golden, stored, run_with(found, runner, case))
    assert verdict.first_divergence is not None
    assert verdict.first_divergence.stage == stage
