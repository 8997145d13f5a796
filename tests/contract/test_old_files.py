"""Stores, goldens, baselines and policies of the first release are read by every later version."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.contract.conftest import FILES, TurboLab, digest

SWEEP, CUT_OFF, HALF_FAILED = "580fd4a2249dd557", "3c4e5519284035c2", "e4a6e360bbaa6fb9"
RECORD = "56d5d40d1f04aa4ba58d19a8bbf382635f6324502297aa6669f4e270ff829fa7"
GUIDED = (
    "num_inference_steps=2",
    "guidance_scale=2",
    "lora=ink@0.5",
    "negative_prompt='a bell on a red background'",
)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the old files, which are no longer where they were written."""
    folder = tmp_path_factory.mktemp("old") / "lab"
    shutil.copytree(FILES, folder)
    return folder


@pytest.fixture(scope="module")
def reproduced(turbo_lab: TurboLab, lab: Path) -> dict[str, Any]:
    """What drawing an old record again comes to here."""
    record = f"store/records/{RECORD[:2]}/{RECORD}.json"
    answer = turbo_lab("reproduce", record, "device=cpu", "--json", folder=lab)
    assert answer.exit_code in (0, 1, 3), answer.errors
    return answer.document


def test_a_store_is_sound(turbo_lab: TurboLab, lab: Path) -> None:
    answer = turbo_lab("store", "verify", "store=store", "--json", folder=lab)
    assert (answer.exit_code, answer.document["damaged"]) == (0, [])
    used = turbo_lab("store", "du", "store=store", "--json", folder=lab).document
    counts = {row["kind"]: row["files"] for row in used["kinds"]}
    assert counts | {"tmp": 0} == {
        "batches": 11,
        "records": 5,
        "measurements": 6,
        "timings": 3,
        "sweeps": 10,
        "judgements": 0,
        "tmp": 0,
        "orphans": 0,
    }
    collected = turbo_lab("store", "gc", "--orphans", "store=store", "--json", folder=lab)
    assert (collected.exit_code, collected.document["removed"]) == (0, [])


@pytest.mark.parametrize(("form", "image"), [("html", "data:image"), ("markdown", "| --- |")])
@pytest.mark.parametrize("sweep", [SWEEP, HALF_FAILED])
def test_a_moved_sweep_is_reported_with_its_images(
    sweep: str, form: str, image: str, turbo_lab: TurboLab, lab: Path, tmp_path: Path
) -> None:
    words = ["store=store", "--format", form, "--output", str(tmp_path / "report")]
    answer = turbo_lab("report", sweep[:6], *words, "--json", folder=lab)
    assert answer.exit_code == 0, answer.errors
    assert answer.document["sweep_id"] == sweep
    assert answer.document["missing_images"] == 0
    text = (tmp_path / "report").read_text(encoding="utf-8")
    assert image in text and "nano-turbo" in text
    assert ("other.safetensors" in text) is (sweep == HALF_FAILED)


def test_a_sweep_that_was_cut_off_is_known_as_such(turbo_lab: TurboLab, lab: Path) -> None:
    answer = turbo_lab("report", CUT_OFF, "store=store", folder=lab)
    assert answer.exit_code == 2 and "cut off" in answer.errors


def test_every_image_shows_its_recipe(turbo_lab: TurboLab, lab: Path) -> None:
    batches = sorted((lab / "store" / "batches").rglob("batch.json"))
    for path in batches:
        batch = json.loads(path.read_text(encoding="utf-8"))
        for entry in batch["images"]:
            image = path.with_name(entry["file"])
            shown = turbo_lab("show", str(image), "--json", folder=lab).document
            assert shown["pixels_intact"] is True
            assert shown["recipe"] == batch["recipe"]
            shared = ("pixel_sha256", "prompt", "seed")
            assert {key: shown[key] for key in shared} == {key: entry[key] for key in shared}


def test_a_record_is_drawn_again(reproduced: dict[str, Any]) -> None:
    assert reproduced["num_images"] == 2
    if not reproduced["fingerprint_difference"]:
        assert reproduced["verdict"] == "pass" and reproduced["identical"] is True


def test_stored_work_counts_where_the_environment_is_the_same(
    reproduced: dict[str, Any], turbo_lab: TurboLab, lab: Path
) -> None:
    grid = ["num_inference_steps=1,2", "num_images=2", "num_threads=1", "device=cpu"]
    answer = turbo_lab("plan", *grid, "store=store", "--json", folder=lab)
    in_store = 0 if reproduced["fingerprint_difference"] else 2
    assert answer.document["counts"]["in_store"] == in_store
    sweep = json.loads((lab / "store" / "sweeps" / SWEEP / "sweep.json").read_text("utf-8"))
    ids = [cell["cell_id"] for cell in sweep["cells"]]
    assert [cell["cell_id"] for cell in answer.document["cells"]] == ids


def test_goldens_are_listed_with_their_history(turbo_lab: TurboLab, lab: Path) -> None:
    answer = turbo_lab("golden", "list", "--json", folder=lab)
    assert answer.document["root"] == str(lab.resolve() / "goldens")
    listed = ("name", "outcome", "accepted_by", "reason", "beside", "known_bad")
    assert [[row[key] for key in listed] for row in answer.document["goldens"]] == [
        [
            "guided",
            "939033fd91206fcdb3d7065a4e9e603d82fb4f03b060f8a7a9b797a37fa95e69",
            "turbo-lab",
            "vector instructions",
            0,
            1,
        ],
        [
            "one-step",
            "17e7b64a8563f0ad6b624e81cf062df4258ee009a495dcdbbec9c9cf019abfde",
            "turbo-lab",
            "first recording",
            1,
            0,
        ],
    ]


def test_goldens_are_checked(reproduced: dict[str, Any], turbo_lab: TurboLab, lab: Path) -> None:
    document = turbo_lab("golden", "check", "--json", folder=lab).document
    rows = {row["name"]: row for row in document["cases"]}
    assert set(rows) == {"guided", "one-step"}
    for row in rows.values():
        # Where torch has no vector instructions, the outcome that was rejected comes up.
        is_known_bad = row["verdict"] == "regression" and "plain loops" in row["message"]
        assert is_known_bad or row["verdict"] in ("pass", "uncovered"), row["message"]
    if not reproduced["fingerprint_difference"]:
        assert {(row["tier"], row["identical"]) for row in rows.values()} == {("T0", True)}


def test_a_gate_reads_its_baseline_and_its_policy(turbo_lab: TurboLab, lab: Path) -> None:
    known = json.loads((lab / "baselines" / "old.json").read_text(encoding="utf-8"))
    shown = turbo_lab("baseline", "show", "old", "--json", folder=lab).document
    assert shown["digest"] == known["digest"] and shown["images"] == 2
    policy = yaml.safe_load((lab / "policy.yaml").read_text(encoding="utf-8"))
    fields = [f"gate.{key}={_word(value)}" for key, value in policy.items()]
    drawn = ["num_images=2", "num_threads=1", "device=cpu", "store=gate-store"]
    answer = turbo_lab("gate", "gate=release", *fields, *drawn, "--json", folder=lab)
    document = answer.document
    assert document["gate"] == "mine" and document["baseline"] == "old"
    assert document["baseline_digest"] == known["digest"]
    verdicts = {row["name"]: row["verdict"] for row in document["checks"]}
    assert set(verdicts) == {"licenses", "clip_score", "r_precision", "goldens", "coverage"}
    # The baseline has no r_precision, and no golden is needed where none is covered.
    assert verdicts["licenses"] == verdicts["goldens"] == "pass"
    assert verdicts["r_precision"] == "uncovered"
    assert verdicts["clip_score"] in ("pass", "inconclusive")
    assert answer.exit_code == 3


def _word(value: Any) -> str:
    """Return a value as the command line's grammar writes it."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{_word(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_word, value)) + "]"
    return "null" if value is None else str(value)


def test_a_store_is_replayed_into_mlflow(turbo_lab: TurboLab, lab: Path) -> None:
    words = ["store=store", "tracking.uri=sqlite:///mlflow.db", "--json"]
    document = turbo_lab("sync", *words, folder=lab).document
    assert document["sweeps"] == [SWEEP, HALF_FAILED]
    assert document["cut_off"] == [CUT_OFF]


def test_a_note_of_another_database_is_not_believed(turbo_lab: TurboLab, lab: Path) -> None:
    store = shutil.copytree(lab / "store", lab / "again")
    uri = f"sqlite:///{lab.resolve()}/other.db"
    (note,) = (store / "sweeps" / SWEEP).glob("projected-*.json")
    text = note.read_text(encoding="utf-8")
    assert digest("sqlite:////lab/mlflow.db")[:12] in note.name
    known = text.replace("sqlite:////lab/mlflow.db", uri)
    note.with_name(f"projected-{digest(uri)[:12]}.json").write_text(known, encoding="utf-8")
    words = ["num_inference_steps=1,2", "num_images=2", "num_threads=1", "device=cpu"]
    more = ["timing=off", "store=again", f"tracking.uri={uri}", "--json"]
    answer = turbo_lab("sweep", *words, *more, folder=lab)
    assert answer.exit_code == 0, answer.errors
    for cell in answer.document["cells"]:
        assert cell["mlflow_run_id"] and cell["mlflow_run_id"] not in text


def test_a_sweep_that_was_cut_off_goes_on(turbo_lab: TurboLab, lab: Path) -> None:
    store = shutil.copytree(lab / "store", lab / "resumed")
    words = [*GUIDED, "num_images=2", "num_threads=1", "device=cpu", "timing=off", "store=resumed"]
    answer = turbo_lab("sweep", *words, "tracking=none", "--json", folder=lab)
    assert answer.exit_code == 0, answer.errors
    counts = answer.document["counts"]
    assert counts["distinct"] == 1 and counts["failed"] == 0
    assert (store / "sweeps" / answer.document["sweep_id"] / "sweep.json").is_file()
