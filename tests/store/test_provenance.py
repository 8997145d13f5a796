"""Provenance in a record, also in one of an earlier version."""

from __future__ import annotations

from dataclasses import replace

from tests.recipes import PROVENANCE
from turbo_lab.environment import GitState
from turbo_lab.store.provenance import Provenance
from turbo_lab.untrusted.typed_json import read_typed, to_plain


def test_it_survives_and_notes_are_absent_if_there_are_none() -> None:
    assert "notes" not in to_plain(PROVENANCE)
    full = replace(PROVENANCE, git=GitState("a" * 40, dirty="unknown"), notes=("drawn as 2+2",))
    for one in (PROVENANCE, full):
        assert read_typed(Provenance, to_plain(one)) == one
