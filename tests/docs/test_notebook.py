"""``docs/notebook.ipynb`` runs, and shows what it shows."""

from __future__ import annotations

import base64
from pathlib import Path

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError

from tests.docs import notebook

MAX_BYTES = 250_000
MAX_PICTURE_BYTES = 100_000


def of_code(*sources: str, tags: tuple[str, ...] = ()) -> notebook.Notebook:
    made = nbformat.v4.new_notebook()
    metadata = {"tags": list(tags)}
    made.cells = [nbformat.v4.new_code_cell(text, metadata=metadata) for text in sources]
    return made


@pytest.mark.slow
def test_it_runs_and_shows_the_stored_outputs(tmp_path: Path) -> None:
    stored = notebook.read()
    ran = notebook.run(stored, tmp_path)
    assert notebook.outputs(ran) == notebook.outputs(stored), "run `make notebook`"


@pytest.mark.slow
def test_a_cell_that_fails_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        notebook.run(of_code("print(1)", "1 / 0"), tmp_path)


@pytest.mark.slow
def test_other_outputs_are_found_unless_the_cell_varies(tmp_path: Path) -> None:
    for tags, is_equal in (((), False), ((notebook.VARIES,), True)):
        one = notebook.run(of_code("print(1)\n2", tags=tags), tmp_path)
        other = notebook.run(one, tmp_path)
        assert notebook.outputs(one) == notebook.outputs(other)
        other.cells[0].outputs[1]["data"]["text/plain"] = "3"
        assert (notebook.outputs(one) == notebook.outputs(other)) is is_equal
        other.cells[0].outputs.pop()
        assert notebook.outputs(one) != notebook.outputs(other)


def test_its_outputs_are_small_and_without_warnings_or_paths() -> None:
    assert notebook.PATH.stat().st_size < MAX_BYTES
    pictures = 0
    for cell in notebook.read().cells:
        for output in cell.get("outputs", ()):
            assert output.get("name") != "stderr", output
            data = output.get("data", {})
            if "image/png" in data:
                pictures += 1
                assert len(base64.b64decode(data["image/png"])) < MAX_PICTURE_BYTES
    assert pictures == 3
    assert str(Path.home()) not in notebook.PATH.read_text("utf-8")


def test_its_text_names_the_functions_and_pages_that_are_there() -> None:
    stored = notebook.read()
    code = "".join(cell.source for cell in stored.cells if cell.cell_type == "code")
    for name in ("sweep", "compare", "gate", "open_store"):
        assert f"turbo_lab.{name}(" in code
    text = "".join(cell.source for cell in stored.cells if cell.cell_type == "markdown")
    for page in ("python.md", "sweeps.md", "reports.md"):
        assert f"]({page})" in text and (notebook.PATH.parent / page).is_file()
