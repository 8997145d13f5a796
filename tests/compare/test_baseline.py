"""Baselines: written, read, and refused if they were edited."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.recipes import PARAMETERS, RECIPE, record
from turbo_lab.api.sides import compose_side
from turbo_lab.cli.main import main
from turbo_lab.compare.baseline import (
    PACKAGED,
    Baseline,
    baseline_from,
    baseline_of,
    check_baselines,
    names,
    own_folder,
    read_baseline,
    write_baseline,
)
from turbo_lab.documents.inspection import FindingStatus
from turbo_lab.environment import Fingerprint
from turbo_lab.errors import InputError, StoreError
from turbo_lab.store.record import Measurement
from turbo_lab.store.store import Store


def made(name: str = "release") -> Baseline:
    measured = Measurement(
        name="clip_score",
        value=0.5,
        unit="cosine",
        n=2,
        direction="higher",
        fingerprint="f",
        ci95=None,
        per_image=(0.4, float("inf")),
    )
    return Baseline(
        name=name,
        record_id="r",
        recipe=RECIPE,
        parameters=PARAMETERS,
        fingerprint=Fingerprint({"torch": "2"}, {}),
        keys=(("a", 1), ("b", 2)),
        pixel_sha256=("p", "q"),
        measurements=(measured,),
    )


def test_a_baseline_survives_a_round_trip(tmp_path: Path) -> None:
    write_baseline(made(), tmp_path)
    assert read_baseline("release", tmp_path) == made()
    assert "release" in names(tmp_path)


def test_times_are_kept_and_their_absence_changes_no_digest(tmp_path: Path) -> None:
    timed = replace(made(), timing_samples_s=(0.05, 0.06))
    write_baseline(timed, tmp_path)
    assert read_baseline("release", tmp_path) == timed
    assert timed.content_digest != made().content_digest
    values = json.loads(write_baseline(made(), tmp_path).read_text())
    del values["timing_samples_s"]  # as earlier versions wrote it
    (tmp_path / "release.json").write_text(json.dumps(values))
    assert read_baseline("release", tmp_path) == made()


def test_the_digest_covers_the_content_and_not_the_name() -> None:
    assert made("a").content_digest == made("b").content_digest


def test_an_edited_baseline_is_refused(tmp_path: Path) -> None:
    path = write_baseline(made(), tmp_path)
    values = json.loads(path.read_text())
    values["measurements"][0]["value"] = 0.6
    path.write_text(json.dumps(values))
    with pytest.raises(StoreError, match="edited by hand"):
        read_baseline("release", tmp_path)


@pytest.mark.parametrize(
    "change",
    [{"keys": None}, {"keys": [["a"]]}, {"measurements": None}, {"recipe": ...}],
)
def test_a_file_that_lacks_fields_is_damaged_and_not_a_crash(
    change: dict[str, object], tmp_path: Path
) -> None:
    path = write_baseline(made(), tmp_path)
    values = json.loads(path.read_text()) | change
    path.write_text(json.dumps({k: v for k, v in values.items() if v is not ...}))
    with pytest.raises(StoreError, match="is damaged .*; restore it"):
        read_baseline("release", tmp_path)


@pytest.mark.parametrize("content", [b"[]", b"\xff\xfe", b"{"])
def test_a_file_that_is_not_an_object_is_damaged_and_not_a_crash(
    content: bytes, tmp_path: Path
) -> None:
    (tmp_path / "release.json").write_bytes(content)
    with pytest.raises(StoreError, match=r"release.json: is damaged .*; restore it"):
        read_baseline("release", tmp_path)


def test_a_sweep_that_was_cut_off_cannot_become_a_baseline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    store = Store(tmp_path / "turbo-lab-store")
    store.write_record(record(record_id="a1"))
    folder = store.root / "sweeps" / "abcd"
    folder.mkdir(parents=True)
    (folder / "begun.json").write_text("{}")
    assert main(["baseline", "set", "mine", "abcd"]) == 2
    assert "that sweep was cut off; the same command again finishes it" in capsys.readouterr().err


def test_a_name_must_not_be_a_path(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["baseline", "set", "../mine", "abc"]) == 2
    assert "baseline set ../mine: must be a name of letters" in capsys.readouterr().err


def test_the_packaged_baseline_matches_the_gate_defaults() -> None:
    path = PACKAGED / "release.json"
    assert path.stat().st_size < 200_000
    assert "/home" not in path.read_text() and "/work" not in path.read_text()
    baseline = read_baseline("release", PACKAGED)
    (cell,) = compose_side("gate", "candidate", ["gate=release", "tracking=none"]).cells
    assert baseline.recipe == cell.recipe
    layouts = [batch.layout for batch in cell.batches]
    rows = [row for one in layouts for row in zip(one.prompts, one.seeds, strict=True)]
    assert list(baseline.keys) == rows
    assert {m.name for m in baseline.measurements} == {"clip_score", "r_precision"}


def test_a_baseline_without_metrics_can_be_compared_but_not_kept(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    empty = record(record_id="a1")
    store.write_record(empty)
    with pytest.raises(InputError, match="has no metrics with values per image"):
        baseline_of("b", store, "a1")
    assert baseline_from("b", store, empty, ()).measurements == ()


def test_a_checkout_of_turbo_lab_uses_the_packaged_baselines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert own_folder() == tmp_path / "baselines"
    monkeypatch.chdir(Path(__file__).parents[2])
    assert own_folder() == PACKAGED


def test_a_missing_baseline_is_refused_with_the_command_that_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError, match="turbo-lab baseline set nothing SWEEP"):
        read_baseline("nothing", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main(["baseline", "set", "x", "y"]) == 2
    assert "is not a turbo-lab store" in capsys.readouterr().err


def test_a_damaged_baseline_is_a_problem_for_doctor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "baselines").mkdir()
    (tmp_path / "baselines" / "mine.json").write_text("{")
    found = {row.name: row for row in check_baselines()}
    assert found["baseline mine"].status == FindingStatus.PROBLEM
    assert "is damaged" in found["baseline mine"].detail
    assert found["baseline release"].status == FindingStatus.OK
