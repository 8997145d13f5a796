"""The result of a golden check, and its pictures."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from turbo_lab.documents.golden import GoldenKey, StageDifference
from turbo_lab.golden.check import CaseCheck
from turbo_lab.golden.judgement import CaseVerdict
from turbo_lab.report.golden_check import checked_case, golden_check, pictures_of, write_check
from turbo_lab.verdict import Verdict

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
PASSED = CaseCheck(CaseVerdict("one", Verdict.PASS, "T0", "identical", identical=True))


def stage(name: str, equal: bool) -> StageDifference:
    return StageDifference(name, equal, max_abs=0.5, relative_l2=0.1, estimated=False)


def failed(**changes: object) -> CaseCheck:
    verdict = CaseVerdict(
        "two",
        Verdict.REGRESSION,
        "T0",
        "differs",
        fingerprint_difference=(("torch", "2.0", "2.1"),),
    )
    return CaseCheck(verdict, expected=PIXELS, actual=PIXELS + 1, **changes)  # type: ignore[arg-type]


def test_the_worst_case_decides() -> None:
    assert golden_check([PASSED], []).verdict is Verdict.PASS
    assert golden_check([PASSED, failed()], []).verdict is Verdict.REGRESSION
    assert golden_check([], []).verdict is Verdict.UNCOVERED


def test_a_folder_that_no_case_uses_is_an_error() -> None:
    found = golden_check([PASSED], ["old"])
    assert [case.name for case in found.cases] == ["one", "old"]
    assert found.verdict is Verdict.ERROR and found.cases[1].tier is None
    assert "remove it with turbo-lab golden prune" in found.cases[1].message


def test_a_case_keeps_its_evidence() -> None:
    found = checked_case(failed(fingerprints={"golden": {"torch": "2.0"}}))
    assert (found.name, found.tier, found.message) == ("two", "T0", "differs")
    assert found.fingerprint_difference == (GoldenKey("torch", "2.0", "2.1"),)
    assert found.fingerprints == {"golden": {"torch": "2.0"}} and not found.identical
    assert found.explanation is None
    assert checked_case(PASSED).identical


def test_an_explanation_separates_causes_from_stages_that_could_not_be_fed() -> None:
    own = (stage("unet.0", False), stage("vae", False), stage("pixels", True))
    text = "stages that differ although their inputs are the golden's"
    one = checked_case(failed(own=own, causes=("unet.0", "vae")))
    assert one.explanation == f"{text}: unet.0, vae" and one.own == own
    two = checked_case(failed(own=own, causes=("vae",)))
    assert two.explanation == (
        f"{text}: vae; differing stages whose inputs the golden does not store: unet.0"
    )
    none = checked_case(failed(own=own[2:], causes=()))
    assert none.explanation == f"{text}: none"


def test_pictures_are_strips_of_both_sides() -> None:
    found = pictures_of([PASSED, failed()])
    assert found["one"] == {} and set(found["two"]) == {"expected", "actual"}
    strip = np.asarray(Image.open(io.BytesIO(found["two"]["expected"])))
    assert strip.size == PIXELS.size
    assert {tuple(p) for p in strip.reshape(-1, 3)} == {tuple(p) for p in PIXELS.reshape(-1, 3)}


def test_reports_are_written_into_a_new_folder(tmp_path: Path) -> None:
    checked = [failed()]
    files = {form: tmp_path / "reports" / form for form in ("html", "junit", "markdown")}
    write_check(files, golden_check(checked, []), checked)
    text = files["html"].read_text(encoding="utf-8")
    assert "two" in text and text.count("data:image/png") >= 2
    assert "<testsuite" in files["junit"].read_text(encoding="utf-8")
    assert files["markdown"].read_text(encoding="utf-8").startswith("## turbo-lab golden check: ")
