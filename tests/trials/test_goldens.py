"""The life of a golden on the shipped model, through the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.trials.conftest import Loaded
from turbo_lab.cli import main
from turbo_lab.errors import JudgementError
from turbo_lab.golden.golden import Accepted
from turbo_lab.golden.library import GoldenLibrary
from turbo_lab.golden.stages import differences
from turbo_lab.trials import goldens
from turbo_lab.trials.faults import FAULTS
from turbo_lab.trials.goldens import check
from turbo_lab.trials.run_case import CaseRunner


def document(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict]:  # type: ignore[type-arg]
    code = main([*words, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_check_passes_and_says_what_the_design_names(
    in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, values = document(capsys, "golden", "check")
    assert (code, values["verdict"]) == (0, "pass")
    assert {case["name"] for case in values["cases"]} == {"two-steps", "guided-batch"}
    for case in values["cases"]:
        assert case["tier"] == "T0" and case["first_divergence"] is None
        assert case["fingerprint_difference"] == []
    stages = [stage["stage"] for stage in values["cases"][0]["stages"]]
    assert stages == [
        "noise", "prompt_embeds", "pooled_prompt_embeds", "unet.0", "latents.0", "unet.1",
        "latents.1", "vae", "pixels",
    ]  # fmt: skip


def test_recording_again_is_refused(in_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["golden", "record"]) == 2
    assert "only records what is new" in capsys.readouterr().err


def test_an_orphan_fails_until_it_is_pruned(
    in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (in_folder / "goldens" / "stray").mkdir()
    code, values = document(capsys, "golden", "check")
    assert code == 4
    assert values["cases"][-1]["name"] == "stray"
    assert main(["golden", "prune"]) == 0
    capsys.readouterr()
    assert document(capsys, "golden", "check")[0] == 0


def test_a_case_without_a_golden_is_uncovered(
    library: GoldenLibrary, in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = library.cases()
    library.write_cases(known | {"new": ("seed=1", "num_images=1")})
    try:
        code, values = document(capsys, "golden", "check", "new")
    finally:
        library.write_cases(known)
    assert (code, values["verdict"]) == (3, "uncovered")


def test_a_case_that_says_something_else_now_is_uncovered(library: GoldenLibrary) -> None:
    known = library.cases()
    library.write_cases(known | {"two-steps": (*known["two-steps"], "guidance_scale=2")})
    try:
        (found,) = check(library, ["two-steps"], {}, None)
    finally:
        library.write_cases(known)
    assert found.verdict.verdict == "uncovered"


def test_a_damaged_golden_is_an_error_and_the_others_are_judged(library: GoldenLibrary) -> None:
    path = library.root / "two-steps" / "image.png"
    content = path.read_bytes()
    path.write_bytes(content[:-30])
    try:
        broken, whole = check(library, ["two-steps", "guided-batch"], {}, None)
    finally:
        path.write_bytes(content)
    assert broken.verdict.verdict == "error" and "another digest" in broken.verdict.message
    assert whole.verdict.verdict == "pass"


def test_explain_separates_the_cause_from_what_it_passes_on(
    loaded: Loaded, runner: CaseRunner
) -> None:
    case, golden, material = loaded[0]
    (fault,) = [f for f in FAULTS if f.name == "one weight tensor scaled by 1.01"]
    runner.worker.prepare(case.cell.recipe)
    with fault.running(runner.worker.pipeline()):
        seen = runner.run(case)
        fed = runner.run(case, goldens._substitute(material))
    passed_on = [d.stage for d in differences(golden.stages, material.tensors, seen.stages)
                 if not d.equal]  # fmt: skip
    own = [d.stage for d in differences(golden.stages, material.tensors, fed.stages) if not d.equal]
    assert passed_on == ["unet.0", "latents.0", "unet.1", "latents.1", "vae", "pixels"]
    assert own == ["unet.0", "unet.1"]


def test_what_fresh_processes_do_not_agree_on_is_not_minted(
    tmp_path: Path, library: GoldenLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = GoldenLibrary(tmp_path / "goldens", tmp_path / "content")
    cases = {"two-steps": library.cases()["two-steps"]}
    honest = goldens.outcomes_in_fresh_process(cases)

    def one_bit_off(cases: object) -> dict[str, dict[str, str]]:
        return {name: stages | {"vae": "0" * 64} for name, stages in honest.items()}

    monkeypatch.setattr(goldens, "outcomes_in_fresh_process", one_bit_off)
    with pytest.raises(JudgementError, match="differs first at vae; nothing was recorded"):
        goldens.record(empty, cases, {}, 1, Accepted("", {}, "tests", "", "first"))
    assert not (tmp_path / "goldens").exists()


def test_accepting_keeps_the_parent_and_needs_a_reason(
    library: GoldenLibrary, in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["golden", "accept", "two-steps"]) == 2
    assert "say why" in capsys.readouterr().err
    before = library.read("two-steps")
    words = ["golden", "accept", "two-steps", "--reason", "a test", "--processes", "0"]
    assert main(words) == 0
    after = library.read("two-steps")
    assert after.parent == before.outcome
    assert after.accepted[0].reason == "a test"
    assert document(capsys_cleared(capsys), "golden", "check", "two-steps")[0] == 0


def capsys_cleared(capsys: pytest.CaptureFixture[str]) -> pytest.CaptureFixture[str]:
    capsys.readouterr()
    return capsys


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["golden"], "write one of record"),
        (["golden", "chek"], "Did you mean check?"),
        (["golden", "check", "two-step"], "Did you mean two-steps?"),
        (["golden", "record", "seed=1"], "name the case first"),
        (["golden", "record", "grid", "seed=1,2"], "one batch of one cell"),
        (["golden", "accept", "two-steps", "--reason", "x", "--expires", "2020-01-01"], "passed"),
        (["golden", "accept", "two-steps", "--reason", "x", "--expires", "soon"], "such as 2027"),
    ],
)
def test_wrong_words_are_explained(
    in_folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main(words) == 2
    assert message in capsys.readouterr().err
