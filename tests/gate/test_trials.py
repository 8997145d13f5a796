"""Trials of the gate: equal pipelines on other seeds, and faults counted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.small_sweeps import small_sweep
from turbo_lab.documents.gate import BlindnessOutcome, CatchRate
from turbo_lab.errors import InputError
from turbo_lab.gate.policy import Policy
from turbo_lab.gate.trials import by_prompt, calibrate, catch_rates, num_prompts, real_gate
from turbo_lab.planning.resolved_sweep import ResolvedSweep

QUALITY = Policy.from_config({"name": "mine", "quality": {"clip_score": {"margin": 0.5}}})


@pytest.fixture(scope="module")
def candidate(
    tiny_sdxl_dir: Path, clip_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> ResolvedSweep:
    """A candidate whose images are scored by the tiny extractor."""
    return small_sweep(
        tiny_sdxl_dir,
        "num_images=16",
        "batch_size=16",
        "metrics=default",
        f"metrics.extractor={clip_folder}",
        f"store={tmp_path_factory.mktemp('trials') / 'store'}",
    )


def test_images_are_grouped_by_prompt_in_their_order() -> None:
    keys = [("b", 0), ("a", 1), ("b", 2), ("a", 3)]
    assert by_prompt(keys).tolist() == [[0, 2], [1, 3]]
    with pytest.raises(ValueError, match="inhomogeneous"):
        by_prompt(keys[:3])


def test_margins_are_calibrated_on_as_many_seeds_as_asked(candidate: ResolvedSweep) -> None:
    (prompts,) = candidate.library.prompt_sets.values()
    assert num_prompts(candidate) == len(prompts.prompts)
    found = calibrate(QUALITY, candidate, seeds=8, resamples=20)
    (metric,) = found.metrics
    assert (metric.name, metric.margin) == ("clip_score", 0.5)
    assert metric.passes == 1.0, "the margin is wider than any difference of cosines here"


def test_a_policy_without_quality_has_nothing_to_calibrate(candidate: ResolvedSweep) -> None:
    with pytest.raises(InputError, match="the policy has no quality metric to calibrate"):
        calibrate(replace(QUALITY, quality={}), candidate, seeds=8, resamples=20)


def test_a_real_gate_pairs_two_seed_sets_and_leaves_nothing_behind(
    candidate: ResolvedSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    count = num_prompts(candidate)
    found = real_gate(QUALITY, candidate, first_seed=100)
    assert (found.candidate_seed, found.baseline_seed) == (100, 100 + count)
    (row,) = [row for row in found.result.checks if row.name == "clip_score"]
    assert row.verdict == "pass" and row.difference != 0 and row.value is not None
    assert np.isfinite(row.value)
    assert not list(tmp_path.iterdir())


def test_catch_rates_count_what_was_asked() -> None:
    found = [
        BlindnessOutcome("a", "", True, {"x": "pass", "goldens": "regression"}, {}),
        BlindnessOutcome("b", "", False, {"x": "pass"}, {}),
    ]
    assert catch_rates(found) == {
        "x": CatchRate(caught=0, asked=2),
        "goldens": CatchRate(caught=1, asked=1),
        "gate": CatchRate(caught=1, asked=2),
    }
