"""``golden check`` on the shipped model: verdicts, documents and exit codes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from tests.cli.golden.conftest import Document
from turbo_lab.cli.main import main
from turbo_lab.golden.library import (
    GoldenLibrary,
    packaged_cases_hidden_by,
    packaged_root,
)


def test_a_check_passes_and_lists_every_stage(in_folder: Path, document: Document) -> None:
    code, values = document("check")
    assert (code, values["verdict"]) == (0, "pass")
    assert {case["name"] for case in values["cases"]} == {"two-steps", "guided-batch"}
    for case in values["cases"]:
        assert case["tier"] == "T0" and case["first_divergence"] is None
        assert case["fingerprint_difference"] == []
    assert [stage["stage"] for stage in values["cases"][0]["stages"]] == [
        "noise",
        "prompt_embeds",
        "pooled_prompt_embeds",
        "unet.0",
        "latents.0",
        "unet.1",
        "latents.1",
        "vae",
        "pixels",
    ]


def test_keys_apply_to_every_case(in_folder: Path, document: Document) -> None:
    code, values = document("check", "two-steps", "num_threads=2")
    (case,) = values["cases"]
    assert (code, case["verdict"], case["tier"]) == (0, "pass", "T1")
    assert ["num_threads", 1, 2] in [list(row.values()) for row in case["fingerprint_difference"]]
    code, values = document("check", "two-steps", "seed=4")
    assert (code, values["verdict"]) == (3, "uncovered")


def test_own_goldens_are_said_to_hide_the_packaged_ones(
    in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    library = GoldenLibrary(in_folder / "goldens")
    packaged = GoldenLibrary(packaged_root())
    assert packaged_cases_hidden_by(packaged) == []
    assert packaged_cases_hidden_by(library) == list(packaged.cases())
    assert main(["golden", "check"]) == 0
    note = f"checking the goldens of {library.root}; the {len(packaged.cases())} packaged ones are"
    assert note in capsys.readouterr().err
    assert main(["golden", "check", "two-steps"]) == 0
    assert "packaged" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["two-step"], "Did you mean two-steps?"),
        (["sead=1"], "key=sead: unknown. Did you mean seed?"),
        (["seed=1,2"], "golden seed=1,2: give one value per key"),
        (["--html", "/proc/nope/page.html"], "--html=/proc/nope/page.html: cannot be written"),
    ],
)
def test_wrong_words_are_refused_before_anything_is_drawn(
    in_folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main(["golden", "check", *words]) == 2
    assert message in capsys.readouterr().err


def test_a_golden_edited_by_hand_is_one_error_and_the_rest_is_judged(
    own: GoldenLibrary, document: Document
) -> None:
    path = own.root / "two-steps" / "golden.json"
    path.write_text(path.read_text().replace('"seed=3"', '"seed=4"'))
    code, values = document("check")
    assert code == 4
    by_name = {case["name"]: case for case in values["cases"]}
    assert by_name["two-steps"]["verdict"] == "error"
    assert "edited by hand" in by_name["two-steps"]["message"]
    assert by_name["guided-batch"]["verdict"] == "pass"


def test_a_golden_of_a_wrong_schema_is_one_error(own: GoldenLibrary, document: Document) -> None:
    path = own.root / "two-steps" / "golden.json"
    path.write_text(path.read_text().replace('"schema": 1', '"schema": "2"'))
    code, values = document("check")
    assert code == 4 and "is not a number" in values["cases"][0]["message"]
    assert values["cases"][1]["verdict"] == "pass"


def test_damaged_thresholds_are_refused_with_a_remedy(
    own: GoldenLibrary, capsys: pytest.CaptureFixture[str]
) -> None:
    (own.root / "thresholds.json").write_text('{"schema": 1, "kind"')
    assert main(["golden", "check"]) == 2
    assert "golden calibrate --write" in capsys.readouterr().err


def test_two_goldens_of_one_cell_are_an_error_each(own: GoldenLibrary, document: Document) -> None:
    overrides = own.cases()["two-steps"]
    golden = own.read("two-steps")
    own.write(dataclasses.replace(golden, name="again"), own.stored_tensors(golden).tensors)
    own.write_cases(own.cases() | {"again": overrides})
    code, values = document("check", "again", "guided-batch")
    assert (code, [case["verdict"] for case in values["cases"]]) == (4, ["error", "pass"])
    assert "are of the same case" in values["cases"][0]["message"]


def test_no_case_at_all_is_not_a_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    GoldenLibrary(tmp_path / "goldens").write_cases({})
    monkeypatch.chdir(tmp_path)
    assert main(["golden", "check"]) == 3
    assert "turbo-lab golden record" in capsys.readouterr().out


def test_a_page_is_written_and_named(in_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = in_folder / "out" / "page.html"
    assert main(["golden", "check", "two-steps", "--html", str(page)]) == 0
    assert f"html            {page}" in capsys.readouterr().out
    assert page.read_text().startswith("<!doctype html>")


def test_the_document_is_one_json_object(
    in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["golden", "check", "two-steps", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kind"] == "golden check"
