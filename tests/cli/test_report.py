"""``turbo-lab report``: which sweep it finds, what it writes, what it says when it cannot."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.report.pages import data_of
from tests.report.results import store_with_sweeps
from turbo_lab.cli.main import main
from turbo_lab.store.store import Store


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store with two sweeps, their images and one measured cell, in the working directory."""
    monkeypatch.chdir(tmp_path)
    return store_with_sweeps(tmp_path / "turbo-lab-store", "abc123", "abd456")


def images_of(page: str) -> list[dict[str, Any]]:
    return [image for cell in data_of(page)["cells"] for image in cell["images"]]


def failed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["report", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1 and captured.out == ""
    return captured.err


def test_an_id_its_beginning_and_a_path(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    path = store.root / "sweeps" / "abc123" / "sweep.json"
    for name in ("abc123", "abc", str(path), str(path.parent)):
        assert main(["report", name, "--output", "out/page.html"]) == 0
        assert "page.html" in capsys.readouterr().out
        text = Path("out/page.html").read_text(encoding="utf-8")
        assert text.startswith("<!doctype html>") and len(images_of(text)) == 12
        shutil.rmtree("out")


def test_json_says_where(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "abc", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["report"] == str(Path("report.html").resolve())
    assert (found["sweep_id"], found["missing_images"], found["schema"]) == ("abc123", 0, 1)


def test_markdown(store: Store) -> None:
    assert main(["report", "abc", "--format", "markdown"]) == 0
    text = Path("report.md").read_text(encoding="utf-8")
    assert text.startswith("## turbo-lab sweep `abc123`\n")
    assert "| steps | guidance |" in text and "| model | nano-turbo |" in text
    assert "- out of memory" in text


def test_parquet_and_a_model_card(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "abc", "--format", "parquet"]) == 0
    assert Path("report.parquet").read_bytes().startswith(b"PAR1")
    (store.root / "sweeps" / "abc123" / "sheet.png").write_bytes(b"png")
    assert main(["report", "abc", "--format", "model-card", "--output", "hub/README.md"]) == 0
    text = Path("hub/README.md").read_text(encoding="utf-8")
    assert text.startswith("---\nlicense: apache-2.0\n")
    assert "## Environment" in text
    assert "(<../turbo-lab-store/sweeps/abc123/sheet.png>)" in text
    assert capsys.readouterr().out.endswith("report          hub/README.md\n")


@pytest.mark.parametrize("form", ["csv", "parquet", "model-card"])
def test_a_file_that_exists_is_replaced_and_a_folder_is_not(
    store: Store, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("old").write_text("old")
    assert main(["report", "abc", "--format", form, "--output", "old"]) == 0
    assert Path("old").read_bytes()[:3] != b"old"
    capsys.readouterr()
    message = failed(["abc", "--format", form, "--output", "turbo-lab-store"], capsys)
    assert "--output=turbo-lab-store: cannot be written" in message


def test_images_a_cell(store: Store) -> None:
    assert main(["report", "abc", "--images", "1"]) == 0
    text = Path("report.html").read_text(encoding="utf-8")
    assert len(images_of(text)) == 3
    assert {cell["num_images"] for cell in data_of(text)["cells"]} == {0, 4}


def test_a_store_that_was_copied(store: Store, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    shutil.move(store.root, moved)
    assert main(["report", "abc", f"store={moved}"]) == 0
    assert len(images_of(Path("report.html").read_text(encoding="utf-8"))) == 12


def test_missing_images_are_said(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    (store.root / "batches" / "0-0.png").unlink()
    assert main(["report", "abc"]) == 3
    assert "1 images not found; pass store=DIR" in capsys.readouterr().err


def test_it_needs_no_torch(store: Store) -> None:
    code = (
        "import sys; from turbo_lab.cli.main import main; assert main(['report', 'abc']) == 0;"
        "assert not {'torch', 'diffusers', 'mlflow'} & set(sys.modules), 'heavy'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name one sweep"),
        (["abc", "abd"], "name one sweep"),
        (["ab"], "matches 2 sweeps"),
        (["abc124"], "unknown. Did you mean abc123"),
        (["abc", "store=empty"], "empty has no sweeps"),
        (["abc", "--format", "pdf"], "'pdf' is not one of 'html', 'markdown'"),
        (["abc", "--images", "many"], "'many' is not a valid integer range"),
        (["abc", "--output"], "Option '--output' requires an argument"),
        (["abc", "--output", "turbo-lab-store"], "--output=turbo-lab-store: cannot be written"),
    ],
)
def test_what_cannot_be_is_one_line(
    store: Store, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert message in failed(arguments, capsys)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is damaged"),
        ("[]", "it is not a JSON object"),
        ('{"schema": 99, "kind": "sweep"}', "newer than this turbo-lab's"),
        ('{"schema": 1, "kind": "record"}', "where 'sweep' belongs"),
    ],
)
def test_a_document_that_is_none(
    store: Store, capsys: pytest.CaptureFixture[str], content: str, message: str
) -> None:
    Path("sweep.json").write_text(content)
    assert message in failed(["sweep.json"], capsys)


def test_a_damaged_image_is_named(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    (store.root / "batches" / "0-0.png").write_bytes(b"no image")
    assert "turbo-lab store verify" in failed(["abc"], capsys)
