"""Verdicts on made-up observations."""

from __future__ import annotations

import dataclasses
import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.golden.observations import KEYS, THRESHOLDS, changed, observation, recorded
from turbo_lab.environment import Fingerprint
from turbo_lab.golden.document import Accepted, Golden
from turbo_lab.golden.judgement import CaseVerdict, Judge
from turbo_lab.golden.library import GoldenLibrary
from turbo_lab.golden.observation import Observation
from turbo_lab.golden.stages import StageValue, mark, ordered_by_worth

TODAY = datetime.date(2026, 6, 1)
UPGRADED = KEYS | {"torch": "2.14"}
ELSEWHERE = KEYS | {"device_class": "cuda sm_90"}


@pytest.fixture
def library(tmp_path: Path) -> GoldenLibrary:
    return GoldenLibrary(tmp_path / "goldens", tmp_path / "content")


@pytest.fixture
def golden(library: GoldenLibrary) -> Golden:
    return recorded(library, observation())


def embed(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).astype(np.float32) + 1


def accepted_by_me(
    outcome: str, keys: dict[str, Any], reason: str, expires: str | None = None
) -> Accepted:
    at = "2026-05-01T00:00:00+00:00"
    return Accepted(outcome=outcome, keys=keys, by="me", at=at, reason=reason, expires=expires)


def verdict(
    library: GoldenLibrary, golden: Golden, seen: Observation, **options: Any
) -> CaseVerdict:
    stored = library.stored_tensors(golden)
    return Judge(THRESHOLDS, TODAY, embed).judge(golden, stored, seen, **options)


def test_the_same_passes_exactly(library: GoldenLibrary, golden: Golden) -> None:
    found = verdict(library, golden, observation())
    assert (found.verdict, found.tier, found.identical) == ("pass", "T0", True)


@pytest.mark.parametrize(
    "stage", ["noise", "prompt_embeds", "pooled_prompt_embeds", "unet.0", "latents.0", "vae"]
)
def test_one_ulp_anywhere_fails_at_t0_and_names_the_stage(
    library: GoldenLibrary, golden: Golden, stage: str
) -> None:
    found = verdict(library, golden, changed(observation(), stage, 1e-6))
    assert (found.verdict, found.tier) == ("regression", "T0")
    assert found.first_divergence is not None and found.first_divergence.stage == stage


def test_rounding_passes_after_an_upgrade_and_a_bug_does_not(
    library: GoldenLibrary, golden: Golden
) -> None:
    small = verdict(library, golden, changed(observation(), "latents.0", 1e-5, UPGRADED))
    assert (small.verdict, small.tier, small.identical) == ("pass", "T1", False)
    assert small.fingerprint_difference == (("torch", "2.13", "2.14"),)
    large = verdict(library, golden, changed(observation(), "latents.0", 1e-2, UPGRADED))
    assert (large.verdict, large.tier) == ("regression", "T1")
    assert large.first_divergence is not None and large.first_divergence.stage == "latents.0"
    assert "latents_max_abs 0.01 above 0.001" in large.message


def test_identical_bits_pass_at_t1_and_the_verdict_says_so(
    library: GoldenLibrary, golden: Golden
) -> None:
    found = verdict(library, golden, observation(keys=UPGRADED))
    assert (found.verdict, found.tier, found.identical) == ("pass", "T1", True)


def test_a_block_fails_at_t2_and_noise_of_one_level_does_not(
    library: GoldenLibrary, golden: Golden
) -> None:
    seen = observation(keys=ELSEWHERE)
    pixels = seen.pixels.copy()
    noisy = np.clip(pixels.astype(int) + 1, 0, 255).astype(np.uint8)
    block = pixels.copy()
    block[:, :16, :16] = 255 - block[:, :16, :16]
    by_pixels = {
        name: dataclasses.replace(
            seen, stages=(*seen.stages[:-1], dataclasses.replace(seen.stages[-1], values=values))
        )
        for name, values in (("noise", noisy), ("block", block))
    }
    assert verdict(library, golden, by_pixels["noise"]).verdict == "pass"
    found = verdict(library, golden, by_pixels["block"])
    assert (found.verdict, found.tier) == ("regression", "T2")
    assert "window_density" in found.message


def test_another_cell_is_uncovered(library: GoldenLibrary, golden: Golden) -> None:
    seen = dataclasses.replace(observation(), cell_id="another")
    assert verdict(library, golden, seen).verdict == "uncovered"


def test_an_image_of_another_size_is_never_a_pass(library: GoldenLibrary, golden: Golden) -> None:
    seen = observation(keys=UPGRADED)
    small = dataclasses.replace(seen.stages[-1], values=seen.pixels[:, :16])
    found = verdict(library, golden, dataclasses.replace(seen, stages=(*seen.stages[:-1], small)))
    assert found.verdict == "error"
    assert "images are (1, 16, 32, 3)" in found.message


def test_a_figure_that_is_not_a_number_is_never_a_pass(
    library: GoldenLibrary, golden: Golden
) -> None:
    found = verdict(library, golden, changed(observation(), "latents.0", np.nan, UPGRADED))
    assert found.verdict in ("regression", "error")


@pytest.mark.parametrize("keys", [KEYS, UPGRADED], ids=["T0", "T1"])
def test_non_finite_values_are_a_regression_at_every_tier(
    library: GoldenLibrary, golden: Golden, keys: dict[str, str]
) -> None:
    for value in (np.nan, np.inf):
        found = verdict(library, golden, changed(observation(), "latents.0", value, keys))
        assert found.verdict == "regression"
        assert found.message == "non-finite values (NaN or infinity), first in latents.0"


def test_no_thresholds_and_no_extractor_are_errors(library: GoldenLibrary, golden: Golden) -> None:
    stored = library.stored_tensors(golden)
    seen = changed(observation(), "vae", 1.0, UPGRADED)
    found = Judge({}, TODAY).judge(golden, stored, seen)
    assert found.verdict == "error" and "golden calibrate" in found.message
    seen = changed(observation(), "pixels", 1, ELSEWHERE)
    found = Judge(THRESHOLDS, TODAY).judge(golden, stored, seen)
    assert found.verdict == "error" and "no extractor" in found.message


def test_a_known_bad_outcome_fails_wherever_it_is_seen(
    library: GoldenLibrary, golden: Golden
) -> None:
    seen = changed(observation(), "latents.0", 1e-5, UPGRADED)
    bad = golden.with_known_bad(seen.outcome, "washed out")
    found = verdict(library, bad, seen)
    assert found.verdict == "regression" and "washed out" in found.message


def test_an_acceptance_ends_on_its_day(library: GoldenLibrary, golden: Golden) -> None:
    seen = changed(observation(), "vae", 1.0)
    until = accepted_by_me(seen.outcome, KEYS, "known bug", expires="2026-06-01")
    accepted = golden.with_accepted(until)
    stored = library.stored_tensors(golden)
    day = datetime.timedelta(days=1)
    assert Judge(THRESHOLDS, TODAY).judge(accepted, stored, seen).verdict == "pass"
    assert Judge(THRESHOLDS, TODAY + day).judge(accepted, stored, seen).verdict == "regression"
    assert accepted.outcome == golden.outcome  # the anchor did not move


def test_another_environment_with_an_outcome_of_its_own_is_held_to_the_bit(
    library: GoldenLibrary, golden: Golden
) -> None:
    own = changed(observation(), "latents.0", 1e-5, UPGRADED)
    accepted = golden.with_accepted(accepted_by_me(own.outcome, UPGRADED, "new"))
    assert verdict(library, accepted, own).tier == "T0"
    moved = changed(own, "latents.0", 1e-5)
    assert verdict(library, accepted, moved).verdict == "regression"
    assert verdict(library, golden, moved).verdict == "pass"  # only numerically


def test_there_the_first_stage_beyond_rounding_is_named(
    library: GoldenLibrary, golden: Golden
) -> None:
    """The anchor's stages are another environment's: all of them differ a little."""
    own = changed(observation(), "latents.0", 1e-5, UPGRADED)
    accepted = golden.with_accepted(accepted_by_me(own.outcome, UPGRADED, "new"))
    found = verdict(library, accepted, changed(own, "vae", 1.0))
    assert found.first_divergence is not None and found.first_divergence.stage == "vae"
    assert found.fingerprint_difference == (("torch", "2.13", "2.14"),)


@pytest.mark.parametrize(
    "keys", [{"isa": "unknown"}, {"device_model": "unknown family unknown model unknown"}]
)
def test_an_environment_that_cannot_be_read_never_passes(
    library: GoldenLibrary, keys: dict[str, str]
) -> None:
    """Not even where the golden was recorded on one that could not be read either."""
    seen = observation(keys=KEYS | keys)
    found = verdict(library, recorded(library, seen, "unread"), seen)
    assert found.verdict == "uncovered"
    assert f"{next(iter(keys))}: cannot be read" in found.message


def test_a_stage_that_is_not_a_number_is_named(library: GoldenLibrary, golden: Golden) -> None:
    found = verdict(library, golden, changed(observation(), "latents.0", np.nan, UPGRADED))
    assert found.first_divergence is not None and found.first_divergence.stage == "latents.0"


def test_a_failing_case_always_names_a_stage(library: GoldenLibrary, golden: Golden) -> None:
    """One element far off: beyond the largest difference, within the relative one."""
    seen = observation(keys=UPGRADED)
    latents = next(value for value in seen.stages if value.stage == "latents.0")
    latents.values.flat[7] += 5e-3
    found = verdict(library, golden, seen)
    assert found.verdict == "regression" and "latents_max_abs" in found.message
    assert found.first_divergence is not None and found.first_divergence.stage == "latents.0"


def test_accepting_what_was_rejected_lifts_the_rejection(
    library: GoldenLibrary, golden: Golden
) -> None:
    seen = changed(observation(), "vae", 1.0)
    bad = golden.with_known_bad(seen.outcome, "washed out")
    lifted = bad.with_accepted(accepted_by_me(seen.outcome, KEYS, "it was meant"))
    assert verdict(library, lifted, seen).verdict == "pass"


def test_one_outcome_stands_in_each_environment_that_accepted_it(golden: Golden) -> None:
    for keys in (UPGRADED, ELSEWHERE, UPGRADED):
        golden = golden.with_accepted(accepted_by_me("o", keys, "the same there"))
    assert [a.keys["device_class"] for a in golden.accepted[1:]] == ["cuda sm_90", "cpu x86-64"]


def test_a_stage_of_ones_own_is_held_at_t1_as_the_latents_are(library: GoldenLibrary) -> None:
    seen = observation()
    features = StageValue("features", "float32", np.ones((1, 64), np.float32))
    own = dataclasses.replace(seen, stages=(features, *seen.stages))
    golden = recorded(library, own)
    small = verdict(library, golden, changed(own, "features", 1e-4, UPGRADED))
    assert (small.verdict, small.tier, small.identical) == ("pass", "T1", False)
    large = verdict(library, golden, changed(own, "features", 1e-2, UPGRADED))
    assert large.verdict == "regression" and "features_relative_l2" in large.message


def test_whatever_the_order_noise_and_the_last_latents_are_kept(library: GoldenLibrary) -> None:
    """Of a pipeline whose embeddings alone are larger than what fits."""
    seen = observation()
    wide = StageValue("prompt_embeds", "float32", np.ones((2, 77, 2048), np.float32))
    stages = tuple(wide if value.stage == "prompt_embeds" else value for value in seen.stages)
    kept = ordered_by_worth(stages)
    assert list(kept)[:2] == ["noise", "latents.0"] and "vae" not in kept
    golden = dataclasses.replace(recorded(library, seen), stages=tuple(map(mark, stages)))
    library.write(golden, kept, replace=True)
    assert {"noise", "latents.0", "unet.0"} <= set(
        library.stored_tensors(golden_of(library)).tensors
    )
    assert "prompt_embeds" not in library.stored_tensors(golden_of(library)).tensors


def golden_of(library: GoldenLibrary) -> Golden:
    return library.read("case")


def test_stages_without_a_pipelines_latents_are_held_as_latents_are(
    tmp_path: Path,
) -> None:
    """As a suite hands them over: only the pixels come after them."""
    seen = observation()
    alone = tuple(v for v in seen.stages if v.stage in ("prompt_embeds", "unet.0", "pixels"))
    seen = dataclasses.replace(seen, stages=alone)
    own = GoldenLibrary(tmp_path / "own", tmp_path / "content")
    golden = recorded(own, seen)
    newer = {**KEYS, "torch": "2.14"}
    for stage in ("prompt_embeds", "unet.0"):
        moved = dataclasses.replace(changed(seen, stage, 5.0), fingerprint=Fingerprint(newer, {}))
        found = verdict(own, golden, moved)
        assert (found.verdict, found.tier) == ("regression", "T1")
        assert f"{stage}_relative_l2" in found.message
    same = dataclasses.replace(seen, fingerprint=Fingerprint(newer, {}))
    assert verdict(own, golden, same).verdict == "pass"


def test_an_outcome_next_to_the_anchor_says_so_until_it_expires(
    library: GoldenLibrary, golden: Golden
) -> None:
    seen = changed(observation(), "vae", 1e-4)
    until = accepted_by_me(seen.outcome, KEYS, "known bug", expires="2026-06-01")
    bad = golden.with_known_bad(seen.outcome, "washed out")
    found = verdict(library, bad.with_accepted(until), seen)
    assert (found.verdict, found.identical) == ("pass", False)
    assert found.message == "accepted next to the anchor until 2026-06-01: known bug"
    late = dataclasses.replace(until, expires="2020-01-01")
    found = verdict(library, golden.with_accepted(late), seen)
    assert found.verdict == "regression" and "until 2020-01-01 (known bug)" in found.message
    # The rejection was only put aside.
    found = verdict(library, bad.with_accepted(late), seen)
    assert (found.verdict, found.message) == ("regression", "known bad: washed out")


def test_another_size_is_told_at_every_tier(library: GoldenLibrary, golden: Golden) -> None:
    seen = observation()
    larger = StageValue("pixels", "uint8", np.zeros((1, 64, 32, 3), np.uint8))
    other = tuple(larger if v.stage == "pixels" else v for v in seen.stages)
    for tier in ("T0", "T1", "T2"):
        found = verdict(library, golden, dataclasses.replace(seen, stages=other), tier=tier)
        assert found.verdict != "pass" and "(1, 64, 32, 3), the golden's (1, 32, 32, 3)" in (
            found.message
        )
