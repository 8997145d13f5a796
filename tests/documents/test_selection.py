"""Files of selections: what is read, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from turbo_lab.documents.document import to_document
from turbo_lab.documents.selection import SELECTION, SelectedCell, SelectedImage, Selection
from turbo_lab.errors import StoreError


def test_a_selection_is_read_back_as_it_was(tmp_path: Path) -> None:
    image = SelectedImage("a red apple", 3, "f" * 64)
    cell = SelectedCell("c" * 64, {"guidance_scale": 0.5}, (image,))
    selection = Selection("ab" * 8, Path("/store"), favourites=(cell,), rejects=())
    path = tmp_path / "chosen.json"
    path.write_text(json.dumps(to_document(SELECTION, selection)))
    assert Selection.read(path) == selection


@pytest.mark.parametrize("text", ["", "[]", "{", '{"kind": "turbo-lab-selection", "schema": 1}'])
def test_anything_else_names_the_file_and_the_remedy(tmp_path: Path, text: str) -> None:
    path = tmp_path / "chosen.json"
    path.write_text(text)
    with pytest.raises(StoreError, match="chosen.json: is damaged"):
        Selection.read(path)
