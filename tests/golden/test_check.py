"""Checks of recorded cases, and the causes that they name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.golden_cases import Loaded
from turbo_lab.documents.golden import CheckedCase
from turbo_lab.golden.check import CaseCheck, check, check_one
from turbo_lab.golden.document import current_day
from turbo_lab.golden.judgement import Judge
from turbo_lab.golden.library import GoldenLibrary
from turbo_lab.golden.run_case import CaseRunner, Drawing, RecordedCase
from turbo_lab.report.golden_check import checked_case, golden_check
from turbo_lab.runtime.seams import Seams, image_generators
from turbo_lab.trials.faults import FAULTS

JUDGE = Judge({}, current_day())


def test_a_case_without_a_golden_is_uncovered(library: GoldenLibrary) -> None:
    known = library.cases()
    library.write_cases(known | {"new": ("seed=1", "num_images=1")})
    try:
        (found,) = check(library, ["new"], JUDGE)
    finally:
        library.write_cases(known)
    assert found.verdict.verdict == "uncovered"
    assert found.verdict.message == "has no golden; run turbo-lab golden record"


def test_a_case_whose_line_has_changed_is_uncovered(library: GoldenLibrary) -> None:
    known = library.cases()
    library.write_cases(known | {"two-steps": (*known["two-steps"], "guidance_scale=2")})
    try:
        (found,) = check(library, ["two-steps"], JUDGE)
    finally:
        library.write_cases(known)
    assert found.verdict.verdict == "uncovered"
    assert "cases.json has changed since it was recorded" in found.verdict.message


def test_a_damaged_golden_is_an_error_and_the_others_are_judged(library: GoldenLibrary) -> None:
    path = library.root / "two-steps" / "image.png"
    content = path.read_bytes()
    path.write_bytes(content[:-30])
    try:
        broken, whole = check(library, ["two-steps", "guided-batch"], JUDGE)
    finally:
        path.write_bytes(content)
    assert broken.verdict.verdict == "error"
    assert "its digest is not the one in golden.json" in broken.verdict.message
    assert whole.verdict.verdict == "pass"


def test_a_case_that_raises_anything_is_one_error_and_the_rest_is_judged(
    library: GoldenLibrary,
) -> None:
    """As if a new diffusers raised for one of the cases."""

    def broken(seeds: Sequence[int]) -> list[Any]:
        if list(seeds) == [3]:
            raise TypeError("unexpected keyword argument 'timestep_cond'")
        return image_generators(seeds)

    drawing = Drawing(seams=Seams(make_generators=broken))
    checks = check(library, ["two-steps", "guided-batch"], JUDGE, drawing=drawing)
    result = golden_check(checks, [])
    assert [str(case.verdict) for case in result.cases] == ["error", "pass"]
    assert result.verdict.exit_code == 4
    message = result.cases[0].message
    assert message.startswith("could not be generated: TypeError: unexpected keyword argument")


def test_explain_separates_the_cause_from_what_it_passes_on(loaded: Loaded) -> None:
    checked, reported = explained_with("one weight tensor scaled by 1.01", loaded[0])
    passed_on = [stage.stage for stage in checked.verdict.stages if not stage.equal]
    assert passed_on == ["unet.0", "latents.0", "unet.1", "latents.1", "vae", "pixels"]
    assert checked.causes == ("unet.0", "unet.1")
    assert reported.explanation is not None
    assert reported.explanation.endswith("their inputs are the golden's: unet.0, unet.1")


def test_a_stage_that_could_not_be_fed_is_not_called_a_cause(loaded: Loaded) -> None:
    """The embeddings of a guided batch are too large to be kept: the UNet gets the wrong ones."""
    assert "prompt_embeds" not in loaded[1].stored.tensors
    checked, reported = explained_with("last layer of the text encoders", loaded[1])
    assert checked.causes == ("prompt_embeds",)
    assert "whose inputs the golden does not store: unet.0" in (reported.explanation or "")


def test_a_report_has_both_fingerprints(loaded: Loaded) -> None:
    _, reported = explained_with("channels swapped", loaded[0])
    here = loaded[0].case.sweep.fingerprint.keys
    assert reported.fingerprints == {"golden": here, "here": here}


def test_a_case_that_draws_nan_now_is_a_regression(loaded: Loaded) -> None:
    broken = Drawing(seams=Seams(decode=lambda run, latents: run(latents) * float("nan")))
    runner = CaseRunner([loaded[0].case], broken)
    found = check_one(runner, loaded[0], JUDGE, explain=False).verdict
    assert (found.verdict, found.tier) == ("regression", "T0")
    assert "non-finite values (NaN or infinity), first in vae" in found.message


def explained_with(fault: str, one: RecordedCase) -> tuple[CaseCheck, CheckedCase]:
    """Check a case with a fault in the pipeline; return the check and what is reported of it."""
    (found,) = [f for f in FAULTS if f.name == fault]
    runner = CaseRunner([one.case], Drawing(seams=found.seams()))
    runner.resident.prepare(one.case.cell.recipe)
    with found.weights(runner.resident.pipeline):
        checked = check_one(runner, one, JUDGE, explain=True)
    return checked, checked_case(checked)
