"""Published values: shown with protocol and provenance, and never a baseline."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from turbo_lab.cli.main import main
from turbo_lab.compare.published import (
    PROTOCOLS,
    TABLE,
    published,
    refuse_published,
)
from turbo_lab.errors import InputError

NUMBER = r"\d+(\.\d+)?"


def test_every_row_has_a_protocol_and_its_provenance() -> None:
    rows = published()
    assert len(rows) == 62 and len({row.id for row in rows}) == 62
    assert {row.protocol for row in rows} == set(PROTOCOLS)
    for row in rows:
        assert row.model and row.publication and row.read_in and row.verification, row.id
        assert row.fid or row.clip or row.other or row.latency_s, row.id
        for figure in (row.fid, row.patch_fid, row.clip):
            assert re.fullmatch(f"|{NUMBER}|{NUMBER} to {NUMBER}", figure), row.id
        assert re.fullmatch(r"|\d+", row.n), row.id


def test_values_are_as_printed() -> None:
    by_id = {row.id: row for row in published()}
    turbo = by_id["dmd2-turbo-1"]
    assert (turbo.fid, turbo.patch_fid, turbo.clip) == ("24.57", "23.94", "0.337")
    assert turbo.verification == "transcription" and "2405.14867" in turbo.publication
    assert by_id["mlperf-sdxl"].fid == "23.01085758 to 23.95007626"
    assert "teacher" in PROTOCOLS[by_id["senseflow-lcm-4"].protocol]


@pytest.mark.parametrize(
    "word",
    [
        "dmd2-turbo-1",
        "published",
        "published/dmd2-turbo-1",
        str(TABLE),
        "baseline.published=on",
        "baseline.model=dmd2-turbo-1",
        "published=on",
    ],
)
def test_a_published_value_is_refused_as_a_baseline(word: str) -> None:
    with pytest.raises(InputError, match="published values are not a baseline: they were measured"):
        refuse_published("gate", word)


def test_other_words_are_accepted() -> None:
    refuse_published("gate", "gate=release", "baseline.model=nano-turbo", "model.path=published/x")


@pytest.mark.parametrize(
    "arguments",
    [
        ["baseline", "set", "release", "dmd2-turbo-1"],
        ["baseline", "set", "release", "published"],
        ["gate", "gate=release", "baseline.published=dmd2-turbo-1"],
        ["gate", "gate=release", "baseline.model=dmd2-turbo-1"],
        ["compare", "model=nano-turbo", "baselines=dmd2-turbo-1"],
    ],
    ids=" ".join,
)
def test_the_commands_refuse_them_before_any_work(
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert "published values are not a baseline" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_key_is_on_or_off(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "baselines=nano-sdxl", "published=yes"]) == 2
    assert "published=yes: must be on or off" in capsys.readouterr().err
