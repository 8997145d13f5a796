"""An anchor and its successors: what a move keeps and what it leaves behind."""

from __future__ import annotations

import dataclasses
import datetime
from pathlib import Path

import pytest

from tests.golden.observations import changed, observation, recorded
from turbo_lab.errors import NonFiniteError
from turbo_lab.golden.document import Acceptance, Golden, GoldenContent
from turbo_lab.golden.library import GoldenLibrary
from turbo_lab.golden.observation import Observation


def anchor(old: Golden, seen: Observation) -> GoldenContent:
    return GoldenContent.anchor(
        old,
        name=old.name,
        overrides=old.overrides,
        cell_id=seen.cell_id,
        recipe=old.recipe,
        prompts=old.prompts,
        seeds=old.seeds,
        fingerprint=seen.fingerprint,
        stages=seen.marks,
        processes=1,
        acceptance=Acceptance("new VAE", "me"),
    )


def test_a_move_names_its_parent_and_drops_what_was_accepted_next_to_it(tmp_path: Path) -> None:
    seen = observation()
    old = recorded(GoldenLibrary(tmp_path), seen)
    further = Acceptance("known bug", "me", "2026-06-01").accept("other", seen.fingerprint.keys)
    moved_to = changed(seen, "latents.0", 0.5)
    old = old.with_accepted(further).with_known_bad(moved_to.outcome, "noise")
    moved = anchor(old, moved_to)
    assert moved.outcome == moved_to.outcome and moved.parent == old.outcome
    assert [one.reason for one in moved.accepted] == ["new VAE"]
    assert moved.known_bad == {}


def test_recording_the_same_outcome_again_keeps_what_was_accepted_next_to_it(
    tmp_path: Path,
) -> None:
    seen = observation()
    further = Acceptance("known bug", "me").accept("other", seen.fingerprint.keys)
    old = recorded(GoldenLibrary(tmp_path), seen).with_accepted(further)
    again = anchor(dataclasses.replace(old, parent="before"), seen)
    assert [one.reason for one in again.accepted] == ["new VAE", "known bug"]
    assert again.parent == "before"


def test_an_acceptance_is_of_one_outcome_and_moment() -> None:
    accepted = Acceptance("known bug", "me", "2026-06-01").accept("outcome", {"torch": "2"})
    assert (accepted.outcome, accepted.keys, accepted.by) == ("outcome", {"torch": "2"}, "me")
    assert datetime.datetime.fromisoformat(accepted.at).tzinfo == datetime.UTC
    assert accepted.is_valid(datetime.date(2026, 6, 1))
    assert not accepted.is_valid(datetime.date(2026, 6, 2))


def test_no_golden_is_made_of_non_finite_values(tmp_path: Path) -> None:
    seen = observation()
    old = recorded(GoldenLibrary(tmp_path), seen)
    for value in (float("nan"), float("inf")):
        with pytest.raises(NonFiniteError, match=r"first in unet\.0: golden case is not recorded"):
            anchor(old, changed(seen, "unet.0", value))
