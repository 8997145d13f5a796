"""``turbo-lab history record``: documents from files and standard input."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from tests.history.test_figures import BENCH
from turbo_lab.cli.main import main
from turbo_lab.documents.document import to_document
from turbo_lab.history.file import read

DOCUMENT = json.dumps(to_document("bench", BENCH))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one document of a bench."""
    monkeypatch.chdir(tmp_path)
    Path("bench.json").write_text(DOCUMENT)
    return tmp_path


def test_a_document_is_added_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", "record", "bench.json"]) == 0
    assert capsys.readouterr().out == "turbo-lab-history.jsonl: 1 entry\n"
    assert main(["history", "record", "bench.json"]) == 0
    assert "1 entry, 1 of them already there" in capsys.readouterr().out
    assert len(read(Path("turbo-lab-history.jsonl"))) == 1


def test_standard_input_and_json(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(DOCUMENT.encode())))
    assert main(["history", "record", "-", "--history", "own.jsonl", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["kind"], document["added"]) == ("history record", 1)
    assert document["path"] == str(Path("own.jsonl").resolve())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"kind": "sweep"}', "bad.json: is a document of kind 'sweep'"),
        ("[]", "bad.json: is damaged (it is not a JSON object); write it again with --json"),
        (
            DOCUMENT.replace("done", "failed").replace(
                '"latency_s": {', '"latency_s": null, "x": {'
            ),
            "bad.json: nothing was measured",
        ),
        (DOCUMENT.replace('"occasion"', '"other"'), "does not say when and where"),
    ],
)
def test_what_cannot_be_kept(
    content: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("bad.json").write_text(content)
    assert main(["history", "record", "bench.json", "bad.json"]) == 2
    assert message in capsys.readouterr().err
    assert not Path("turbo-lab-history.jsonl").exists()
