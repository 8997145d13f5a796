"""Mutation: faults that must be caught, and harmless changes that must not alarm."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial

import pytest

from tests.golden_cases import FreshDraws, Loaded
from turbo_lab.documents.golden import GoldenMutation, HarmlessOutcome, Margin
from turbo_lab.errors import JudgementError
from turbo_lab.golden.document import current_day
from turbo_lab.golden.embedding import image_embedding
from turbo_lab.golden.fresh_process import DrawFresh, Stages
from turbo_lab.golden.judgement import Judge
from turbo_lab.golden.run_case import Drawing
from turbo_lab.golden.thresholds import read_thresholds
from turbo_lab.report.text.golden import print_mutation
from turbo_lab.trials.faults import FAULTS, Fault
from turbo_lab.trials.golden_mutation import Mutation, mutate, run_with
from turbo_lab.trials.harmless import HARMLESS, Harmless

JUDGE = Judge(read_thresholds(), current_day(), image_embedding())
(CAUGHT,) = [fault for fault in FAULTS if fault.name == "channels swapped"]


def test_a_fault_that_does_nothing_is_missed(
    loaded: Loaded, capsys: pytest.CaptureFixture[str]
) -> None:
    def tried(*faults: Fault) -> Mutation:
        return mutate(loaded[:1], JUDGE, faults=faults, changes=())

    found = tried(CAUGHT, Fault("nothing"))
    assert (found.score, found.passes) == (0.5, False)
    print_mutation(GoldenMutation(found.score, found.faults, found.harmless))
    text = capsys.readouterr().out
    assert "score: T0 catches 50% of the faults" in text
    assert [line.split() for line in text.splitlines() if line.startswith("nothing")] == [
        ["nothing", "missed", "missed", "(0)", "missed", "(0)", "-"]
    ]
    assert tried(CAUGHT).passes


def test_a_harmless_change_that_alarms_fails(loaded: Loaded) -> None:
    harmful = Harmless("another fault", "T1", partial(run_with, CAUGHT))
    found = mutate(loaded[:1], JUDGE, faults=[CAUGHT], changes=[harmful])
    assert [change.alarm for change in found.harmless] == [True]
    assert found.score == 1 and not found.passes


def test_a_fault_above_the_noise_must_be_seen_at_every_tier(
    loaded: Loaded, capsys: pytest.CaptureFixture[str]
) -> None:
    """Here with thresholds a thousand times too wide."""
    wide = {
        tier: {name: Margin(1e3 * m.threshold, m.observed, m.n) for name, m in margins.items()}
        for tier, margins in read_thresholds().items()
    }
    cases = [loaded[0]._replace(golden=dataclasses.replace(loaded[0].golden, thresholds=wide))]
    names = ("vae in bfloat16", "one weight off by 0.001")
    faults = [fault for fault in FAULTS if fault.name in names]
    judge = Judge({}, current_day(), image_embedding())
    found = mutate(cases, judge, faults=faults, changes=()).faults
    assert all(dict(o.by_tier) == {"T0": True, "T1": False, "T2": False} for o in found)
    assert {outcome.name: outcome.above_noise for outcome in found} == {
        "vae in bfloat16": ("T1", "T2"),
        "one weight off by 0.001": (),  # as small as what is harmless
    }
    print_mutation(GoldenMutation(1.0, tuple(found), ()))
    text = " ".join(capsys.readouterr().out.split())
    assert "vae in bfloat16: missed at T1, T2, although it exceeds every harmless change" in text
    assert "may be tighter: turbo-lab golden calibrate --write" in text


def test_a_fresh_process_of_other_bits_is_an_alarm(loaded: Loaded, fresh_draws: FreshDraws) -> None:
    (fresh,) = [change for change in HARMLESS if change.name == "a fresh process"]

    def tried(draw_fresh: DrawFresh) -> HarmlessOutcome:
        drawing = Drawing(draw_fresh=draw_fresh)
        return mutate(loaded, JUDGE, faults=(), changes=[fresh], drawing=drawing).harmless[0]

    honest = tried(fresh_draws)
    assert (honest.alarm, honest.tier, honest.cases) == (False, "T0", len(loaded))

    def turned(cases: Mapping[str, Sequence[str]]) -> dict[str, Stages]:
        found = fresh_draws(cases)
        name = next(iter(found))
        *others, pixels = found[name]
        other = dataclasses.replace(pixels, values=pixels.values[:, ::-1].copy())
        return found | {name: (*others, other)}

    assert tried(turned).alarm


def test_without_thresholds_nothing_counts_as_caught(loaded: Loaded) -> None:
    bare = [one._replace(golden=dataclasses.replace(one.golden, thresholds={})) for one in loaded]
    judge = Judge({}, current_day(), image_embedding())
    with pytest.raises(JudgementError, match=r"no threshold for .* golden calibrate --write"):
        mutate(bare, judge, faults=FAULTS[:1], changes=())
