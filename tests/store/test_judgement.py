"""Comparisons and gates as a store keeps them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.report.judged import gate_report_of_two
from turbo_lab.errors import StoreError
from turbo_lab.report.judgement import gate_judgement
from turbo_lab.store.judgement import Judgement
from turbo_lab.store.maintenance import usage, verify
from turbo_lab.store.record import document
from turbo_lab.store.store import Store


def test_a_judgement_survives_the_store_and_damage_is_found(tmp_path: Path) -> None:
    store, judgement = Store(tmp_path / "store"), gate_judgement(gate_report_of_two())
    files = store.layout.judgement(judgement.judgement_id)
    store.write_document(files.document, document("judgement", judgement))
    assert Judgement.read(store, judgement.judgement_id) == judgement
    assert [one.judgement_id for one in store.layout.judgements()] == [judgement.judgement_id]
    assert list(verify(store, lambda *_: [])) == []
    by_kind, _ = usage(store)
    assert {row.kind: row.files for row in by_kind}["judgements"] == 1
    files.document.write_text("{}")
    with pytest.raises(StoreError, match=r"judgement\.json"):
        Judgement.read(store, judgement.judgement_id)
    [damage] = verify(store, lambda *_: [])
    assert damage.path == files.folder and damage.is_broken
