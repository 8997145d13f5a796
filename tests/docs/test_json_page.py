"""``docs/json.md`` is up to date, and says something about every field."""

from __future__ import annotations

import json
from pathlib import Path

from tests.docs import json_page
from turbo_lab.documents.kinds import KINDS

CONTRACT = Path(__file__).parent.parent / "contract" / "documents.json"


def test_the_page_is_up_to_date() -> None:
    assert json_page.PAGE.read_text("utf-8") == json_page.page(), "run `make docs`"


def test_every_document_of_the_contract_has_a_dataclass() -> None:
    assert list(KINDS) == list(json.loads(CONTRACT.read_text("utf-8")))


def test_every_field_says_what_it_means_and_when_it_is_null() -> None:
    rows = [line for line in json_page.page().splitlines() if line.startswith("| `")]
    for row in rows:
        _, kind, text = row.strip("| ").split(" | ", 2)
        assert text.endswith("."), row
        assert " or null" not in kind or "`None`" in text or "null" in text, row
    assert len(rows) > 300
