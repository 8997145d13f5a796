"""The life of a golden on the shipped model, through the command line."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.golden_cases import FreshDraws, Loaded
from turbo_lab.cards import locate_adapter
from turbo_lab.cli.main import main
from turbo_lab.documents.golden import CheckedCase, Margin
from turbo_lab.errors import JudgementError
from turbo_lab.golden import lifecycle
from turbo_lab.golden.document import Acceptance
from turbo_lab.golden.library import GoldenLibrary
from turbo_lab.golden.lifecycle import Checked, check, check_one
from turbo_lab.golden.run_case import Case, CaseRunner, RecordedCase, resolve_case
from turbo_lab.golden.thresholds import read_thresholds, thresholds_document
from turbo_lab.report.golden_check import checked_case
from turbo_lab.runtime import pipeline
from turbo_lab.runtime.seams import Seams
from turbo_lab.trials.faults import FAULTS


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
    shutil.copytree(in_folder / "goldens" / "two-steps", in_folder / "goldens" / "stray")
    code, values = document(capsys, "golden", "check")
    assert code == 4
    assert values["cases"][-1]["name"] == "stray"
    assert main(["golden", "prune", "two-steps"]) == 2
    assert "unexpected extra argument (two-steps)" in capsys.readouterr().err
    code, values = document(capsys, "golden", "prune")
    assert (code, values["removed"]) == (0, ["stray"])
    assert not (in_folder / "goldens" / "stray").exists()
    capsys.readouterr()
    assert document(capsys, "golden", "check")[0] == 0


def test_keys_apply_to_every_case(in_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, values = document(capsys, "golden", "check", "two-steps", "num_threads=2")
    (case,) = values["cases"]
    assert (code, case["verdict"], case["tier"]) == (0, "pass", "T1")
    assert ["num_threads", 1, 2] in [list(row.values()) for row in case["fingerprint_difference"]]
    code, values = document(capsys, "golden", "check", "two-steps", "seed=4")
    assert (code, values["verdict"]) == (3, "uncovered")


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


def test_explain_separates_the_cause_from_what_it_passes_on(loaded: Loaded) -> None:
    checked, values = explained_with("one weight tensor scaled by 1.01", loaded[0])
    passed_on = [stage.stage for stage in checked.verdict.stages if not stage.equal]
    assert passed_on == ["unet.0", "latents.0", "unet.1", "latents.1", "vae", "pixels"]
    assert checked.causes == ("unet.0", "unet.1")
    assert values.explanation.endswith("still differ: unet.0, unet.1")


def test_a_stage_that_could_not_be_fed_is_not_called_a_cause(loaded: Loaded) -> None:
    """The embeddings of a guided batch are too large to be kept: the UNet gets the wrong ones."""
    assert "prompt_embeds" not in loaded[1][2].tensors
    checked, values = explained_with("last layer of the text encoders", loaded[1])
    assert checked.causes == ("prompt_embeds",)
    assert "may only pass on what the golden does not keep: unet.0" in values.explanation


def test_the_document_has_both_fingerprints(loaded: Loaded) -> None:
    _, values = explained_with("channels swapped", loaded[0])
    here = loaded[0][0].sweep.fingerprint.keys
    assert values.fingerprints == {"golden": here, "here": here}


def explained_with(fault: str, one: RecordedCase) -> tuple[Checked, CheckedCase]:
    """Check a case with a fault in the pipeline; return what was found and what is reported."""
    (found,) = [f for f in FAULTS if f.name == fault]
    runner = CaseRunner([one.case], seams=found.seams())
    runner.resident.prepare(one.case.cell.recipe)
    with found.weights(runner.resident.pipeline):
        checked = lifecycle.check_one(runner, one, {}, None, explain=True)
    return checked, checked_case(checked)


@pytest.mark.slow
def test_what_fresh_processes_do_not_agree_on_is_not_minted(
    tmp_path: Path,
    library: GoldenLibrary,
    fresh_draws: FreshDraws,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    empty = GoldenLibrary(tmp_path / "goldens", tmp_path / "content")
    cases = {"two-steps": library.cases()["two-steps"]}
    stages = list(fresh_draws(library.cases())["two-steps"])
    index = [value.stage for value in stages].index("vae")
    off = stages[index].values.copy()
    off.flat[0] = np.nextafter(off.flat[0], np.inf, dtype=off.dtype)
    stages[index] = dataclasses.replace(stages[index], values=off)
    monkeypatch.setattr(
        lifecycle, "stages_in_fresh_process", lambda _: {"two-steps": tuple(stages)}
    )
    with pytest.raises(JudgementError, match="differs first at vae; nothing was recorded"):
        lifecycle.record(empty, cases, {}, 1, Acceptance("first", "tests"))
    assert not (tmp_path / "goldens").exists()


def test_accepting_needs_a_reason_and_keeps_the_parent_of_what_has_not_changed(
    library: GoldenLibrary, in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["golden", "accept", "two-steps"]) == 2
    assert "say why" in capsys.readouterr().err
    before = library.read("two-steps")
    words = ["golden", "accept", "two-steps", "--reason", "a test", "--processes", "0"]
    code, values = document(capsys, *words)
    assert (code, values["accepted"][0]["parent"]) == (0, before.parent)
    after = library.read("two-steps")
    assert (after.outcome, after.parent) == (before.outcome, before.parent)
    assert after.accepted[0].reason == "a test"
    assert document(capsys_cleared(capsys), "golden", "check", "two-steps")[0] == 0


def capsys_cleared(capsys: pytest.CaptureFixture[str]) -> pytest.CaptureFixture[str]:
    capsys.readouterr()
    return capsys


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["golden"], "golden: name one of record"),
        (["golden", "chek"], "Did you mean check?"),
        (["golden", "check", "two-step"], "Did you mean two-steps?"),
        (["golden", "record", "seed=1"], "name the case first"),
        (["golden", "record", "grid", "seed=1,2"], "one batch of one cell"),
        (["golden", "record", "../out", "seed=1"], "a case's name has letters"),
        (
            ["golden", "mutate", "two-steps"],
            "two-steps: unexpected name; this command takes all cases",
        ),
        (["golden", "accept", "two-steps", "--reason", "x", "--expires", "2020-01-01"], "passed"),
        (["golden", "accept", "two-steps", "--reason", "x", "--expires", "soon"], "such as 2027"),
    ],
)
def test_wrong_words_are_explained(
    in_folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main(words) == 2
    assert message in capsys.readouterr().err


@pytest.fixture
def own(library: GoldenLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GoldenLibrary:
    """A copy that a test may damage; its parent is the working directory."""
    shutil.copytree(library.root, tmp_path / "goldens")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TURBO_LAB_GOLDENS", str(library.content))
    return GoldenLibrary(tmp_path / "goldens", library.content)


def test_one_broken_sidecar_is_one_error_and_the_rest_is_judged(
    own: GoldenLibrary, capsys: pytest.CaptureFixture[str]
) -> None:
    path = own.root / "two-steps" / "golden.json"
    path.write_text(path.read_text().replace('"seed=3"', '"seed=4"'))
    code, values = document(capsys, "golden", "check")
    assert code == 4
    by_name = {case["name"]: case for case in values["cases"]}
    assert by_name["two-steps"]["verdict"] == "error"
    assert "edited by hand" in by_name["two-steps"]["message"]
    assert by_name["guided-batch"]["verdict"] == "pass"


def test_two_goldens_of_one_cell_are_an_error_each_and_no_more(
    own: GoldenLibrary, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = own.cases()["two-steps"]
    assert main(["golden", "record", "again", *overrides]) == 2
    assert "two-steps is of the same cell" in capsys.readouterr().err
    golden = dataclasses.replace(own.read("two-steps"), name="again")
    own.write(golden, own.material(own.read("two-steps")).tensors)
    own.write_cases(own.cases() | {"again": overrides})
    code, values = document(capsys, "golden", "check", "again", "guided-batch")
    assert (code, [case["verdict"] for case in values["cases"]]) == (4, ["error", "pass"])
    assert "are of one case" in values["cases"][0]["message"]


def test_no_case_at_all_is_not_a_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    GoldenLibrary(tmp_path / "goldens").write_cases({})
    monkeypatch.chdir(tmp_path)
    assert main(["golden", "check"]) == 3
    assert "turbo-lab golden record" in capsys.readouterr().out
    assert main(["golden", "mutate"]) == 2
    assert "has no goldens yet" in capsys.readouterr().err


def test_accepting_keeps_the_thresholds_and_lifts_a_rejection(
    own: GoldenLibrary, capsys: pytest.CaptureFixture[str]
) -> None:
    golden = own.read("two-steps")
    margins = {"T1": {"window_density": Margin(0.5, 0.1, 3)}}
    own.write_sidecar(dataclasses.replace(golden, thresholds=margins))
    moved = changed_weight(own, "two-steps")
    own.write_sidecar(own.read("two-steps").with_known_bad(moved, "washed out"))
    with faulty():
        assert main(["golden", "reject", "two-steps", "--reason", "washed out", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["outcome"] == moved
        words = ["golden", "accept", "two-steps", "--reason", "meant", "--processes", "0"]
        assert main(words) == 0
        assert "was known bad (washed out) and is no longer" in capsys.readouterr().out
        assert document(capsys, "golden", "check", "two-steps")[1]["verdict"] == "pass"
    after = own.read("two-steps")
    assert (after.outcome, after.parent, dict(after.known_bad)) == (moved, golden.outcome, {})
    assert after.thresholds == margins


def test_a_case_is_drawn_with_its_own_threads(library: GoldenLibrary) -> None:
    base = library.cases()["two-steps"][:-1]
    cases = [resolve_case(str(n), (*base, f"num_threads={n}")) for n in (1, 2)]
    runner = CaseRunner(cases)
    threads = []

    def observe(stage: str, tensor: torch.Tensor) -> torch.Tensor:
        threads.append((stage, torch.get_num_threads()))
        return tensor

    for case in cases:
        runner.run(case, observe)
    assert [n for stage, n in threads if stage == "vae"] == [1, 2]


@contextmanager
def faulty() -> Iterator[None]:
    """Every pipeline that is loaded has one weight a little off."""
    load = pipeline.load_pipeline

    def wrong(*arguments: Any, **options: Any) -> Any:
        loaded = load(*arguments, **options)
        loaded.unet.conv_in.weight.data.view(-1)[0] += 1e-2
        return loaded

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "load_pipeline", wrong)
        yield


def changed_weight(library: GoldenLibrary, name: str) -> str:
    """The outcome of a case with that weight off."""
    case = resolve_case(name, library.cases()[name])
    with faulty():
        return CaseRunner([case]).run(case).outcome


def test_a_case_that_raises_anything_is_one_error_and_the_rest_is_judged(
    in_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = CaseRunner.run

    def broken(self: CaseRunner, case: Case, *rest: Any) -> Any:
        if case.name == "two-steps":
            raise TypeError("unexpected keyword argument 'timestep_cond'")
        return run(self, case, *rest)

    monkeypatch.setattr(CaseRunner, "run", broken)
    code, values = document(capsys, "golden", "check")
    assert (code, [case["verdict"] for case in values["cases"]]) == (4, ["error", "pass"])
    assert "TypeError: unexpected keyword" in values["cases"][0]["message"]


def test_nothing_is_recorded_of_a_lora_of_nan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    flat = load_file(locate_adapter("flat").path)
    save_file({key: value * float("nan") for key, value in flat.items()}, "nan.safetensors")
    words = ["golden", "record", "broken", "lora=nan.safetensors", "num_images=1"]
    assert main([*words, "num_threads=1", "--processes", "0"]) == 2
    said = capsys.readouterr().err
    assert "first in unet.0: the LoRA's weights hold NaN or infinity" in said
    assert not (tmp_path / "goldens").exists()


def test_a_case_that_draws_nan_now_is_a_regression(loaded: Loaded) -> None:
    broken = Seams(decode=lambda run, latents: run(latents) * float("nan"))
    runner = CaseRunner([loaded[0].case], seams=broken)
    found = check_one(runner, loaded[0], {}, None, explain=False).verdict
    assert (found.verdict, found.tier) == ("regression", "T0")
    assert "non-finite values (NaN or infinity), first in vae" in found.message


def test_files_that_were_edited_are_told_without_a_traceback(
    own: GoldenLibrary, capsys: pytest.CaptureFixture[str]
) -> None:
    path = own.root / "two-steps" / "golden.json"
    path.write_text(path.read_text().replace('"schema": 1', '"schema": "2"'))
    code, values = document(capsys, "golden", "check")
    assert code == 4 and "is not a number" in values["cases"][0]["message"]
    assert values["cases"][1]["verdict"] == "pass"
    packaged = read_thresholds()
    text = json.dumps(thresholds_document(packaged, {"n": 1}))
    for damaged in (text[:300], text.replace('"n": 91', '"n": 92')):
        (own.root / "thresholds.json").write_text(damaged)
        assert main(["golden", "check"]) == 2
        assert "golden calibrate --write" in capsys.readouterr().err


def test_a_page_that_cannot_be_written_is_told_first(
    in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["golden", "check", "--html", "/proc/nope/page.html"]) == 2
    assert "--html=/proc/nope/page.html: cannot be written" in capsys.readouterr().err
