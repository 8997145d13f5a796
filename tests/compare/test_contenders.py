"""Contenders: which are drawn, at how many steps, and what is left when one fails."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.recipes import PARAMETERS, RECIPE
from tests.small_sweeps import small_sweep
from turbo_lab.compare import contenders
from turbo_lab.compare.baseline import Baseline
from turbo_lab.compare.contenders import compare_entrants, compare_report, steps_of_equal_latency
from turbo_lab.compare.entrant import Contender, Entrant, FailedEntrant
from turbo_lab.environment import Fingerprint
from turbo_lab.errors import InputError, JudgementError, NotOnThisMachineError
from turbo_lab.store.record import LatencySummary, Measurement, Timing
from turbo_lab.verdict import Direction


def timed(steps: int, p50: float, unet: float) -> Contender:
    latency = LatencySummary(mean=p50, p50=p50, p90=p50, p95=p50, p99=None, n=8, ci95=None)
    timing = Timing(
        cell_id="c",
        batch_size=1,
        latency_s=latency,
        throughput_images_per_s=1.0,
        samples_s=(p50,),
        stages_s={"unet": unet},
        first_call_s=1.0,
        peak_memory_bytes=1,
        fingerprint=Fingerprint({}, {}),
    )
    measured = Baseline(
        name="x",
        record_id="r",
        recipe=RECIPE,
        parameters=replace(PARAMETERS, num_inference_steps=steps),
        fingerprint=Fingerprint({}, {}),
        keys=(),
        pixel_sha256=(),
        measurements=(),
    )
    return Contender(f"{steps}", measured, timing, {})


@pytest.mark.parametrize(
    ("candidate", "own", "equal", "steps"),
    [
        # The line rises by 0.05 s per step, so 0.3 s are four steps.
        (timed(1, 0.3, 0.1), timed(25, 1.35, 1.2), timed(1, 0.15, 0.05), 4),
        # One point: a UNet call takes 0.2 / 4 s.
        (timed(4, 0.5, 0.1), timed(4, 0.3, 0.2), timed(4, 0.3, 0.2), 8),
        # One step already takes longer.
        (timed(1, 0.1, 0.1), timed(25, 1.35, 1.2), timed(1, 0.2, 0.05), -1),
        # Noise: more steps seem faster.
        (timed(1, 0.1, 0.1), timed(2, 0.2, 0.1), timed(1, 0.21, 0.05), None),
    ],
)
def test_steps_of_equal_latency(
    candidate: Contender, own: Contender, equal: Contender, steps: int | None
) -> None:
    assert steps_of_equal_latency(candidate, own, equal) == steps


def test_an_entrant_of_another_strength_is_refused_before_anything_is_drawn(
    tiny_sdxl_dir: Path,
) -> None:
    words = ("image=shapes", "num_inference_steps=2")
    candidate, baseline = (
        Entrant(small_sweep(tiny_sdxl_dir, *words, f"strength={strength}")) for strength in (0.5, 1)
    )
    with pytest.raises(InputError, match=r"at strength=0\.5, .* at strength=1: such images do not"):
        compare_entrants([candidate], [baseline])


@pytest.fixture
def entrants(tiny_sdxl_dir: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Entrant]:
    """Entrants with scores and times of their own; ``bad`` cannot be drawn."""
    sweep = small_sweep(tiny_sdxl_dir)
    names = ("base", "good", "slow", "bad", "same")

    def draw(entrant: Entrant) -> Contender:
        (name,) = entrant.label_words
        if name == "bad":
            raise JudgementError("bad could not be drawn: no memory")
        seconds = 0.2 if name == "slow" else 0.1
        contender = timed(1, seconds, seconds / 2)
        values = [0.5 + 0.1 * index + (0.05 if name == "good" else 0.0) for index in range(8)]
        measured = replace(
            contender.measured,
            record_id="base" if name == "same" else name,
            keys=tuple((f"prompt {index}", index) for index in range(8)),
            measurements=(
                Measurement(
                    name="clip_score",
                    value=sum(values) / 8,
                    unit="cosine",
                    n=8,
                    direction=Direction.HIGHER,
                    fingerprint="f",
                    ci95=None,
                    per_image=tuple(values),
                    note=None,
                ),
            ),
        )
        return replace(contender, label=entrant.label, measured=measured)

    monkeypatch.setattr(contenders, "draw", draw)
    monkeypatch.setattr(contenders, "drawn_entrant", lambda one: drawn(one, draw))
    return {name: Entrant(sweep, (name,)) for name in names}


def drawn(entrant: Entrant | FailedEntrant, draw: object) -> Contender:
    if isinstance(entrant, FailedEntrant):
        raise entrant.error
    assert callable(draw)
    found = draw(entrant)
    assert isinstance(found, Contender)
    return found


def label(name: str) -> str:
    return f"tiny-sdxl 1 step {name}"


def test_several_candidates_share_one_baseline(entrants: dict[str, Entrant]) -> None:
    failed = FailedEntrant("float8", NotOnThisMachineError("needs a GPU"))
    candidates = [entrants[name] for name in ("good", "bad", "slow", "same")]
    found = compare_entrants([*candidates, failed], [entrants["base"]])
    assert list(found.contenders) == [label("base"), label("good"), label("slow")]
    assert found.reference.label == label("base") and found.candidate.label == label("good")
    assert found.failed == {
        label("bad"): "bad could not be drawn: no memory",
        "float8": "needs a GPU",
    }
    assert [row.name for row in found.rows] == [
        f"clip_score / {label('good')}",
        f"clip_score / {label('slow')}",
    ]
    differences = [row.difference for row in found.rows]
    assert differences == [pytest.approx(0.05), pytest.approx(0.0)]
    report = compare_report(found)
    assert (report.candidate, report.reference) == (label("good"), label("base"))
    assert [one.label for one in report.entrants][:3] == list(found.contenders)
    assert [one.error is None for one in report.entrants] == [True, True, True, False, False]
    assert list(report.prompts) == [label("good"), label("slow")]


def test_of_several_baselines_one_may_fail(entrants: dict[str, Entrant]) -> None:
    baselines = [entrants["bad"], entrants["base"]]
    found = compare_entrants([entrants["good"]], baselines)
    assert list(found.failed) == [label("bad")] and found.reference.label == label("good")
    variant = compare_entrants([entrants["good"]], [entrants["base"]], is_candidate_reference=False)
    assert variant.reference.label == label("base")


def test_too_few_entrants_are_an_error(entrants: dict[str, Entrant]) -> None:
    base, bad, same = (entrants[name] for name in ("base", "bad", "same"))
    with pytest.raises(JudgementError, match="no memory"):
        compare_entrants([bad], [base])
    with pytest.raises(JudgementError, match="no memory"):
        compare_entrants([base], [bad])
    with pytest.raises(JudgementError, match="no memory"):
        compare_entrants([bad, bad], [base])
    with pytest.raises(InputError, match=r"the baseline equals the candidate \(tiny-sdxl 1 step"):
        compare_entrants([base], [same])
    with pytest.raises(InputError, match="every candidate equals the baseline"):
        compare_entrants([same, base], [base])
    with pytest.raises(InputError, match="2 candidates and 2 baselines; pass one value per key"):
        compare_entrants([base, same], [base, same])
