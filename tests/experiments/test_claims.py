"""The table of claims on hand-made figures: every verdict can come out either way."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from experiments.claims import by_command, by_pipeline
from experiments.claims.__main__ import rows
from experiments.claims.lab import (
    FAMILIES,
    CommandError,
    Difference,
    Family,
    Lab,
    Row,
    difference,
    figure,
    run,
    untested,
    with_loras,
)
from experiments.claims.rules import (
    FAILS,
    HOLDS,
    OPEN,
    UNTESTED,
    Verdict,
    all_below,
    at_least,
    at_most,
    every,
    exactly,
    more_than,
    some,
)

ON_GPU = replace(FAMILIES["nano"], device="cuda")


class FakeLab(Lab):
    """Answers from a table: the first key whose words are all in the command."""

    def __init__(self, answers: Mapping[str, Any], family: Family = FAMILIES["nano"]) -> None:
        super().__init__(family, "nano", 16)
        self.answers = answers

    def _answer(self, *words: str) -> Any:
        for key, value in self.answers.items():
            if all(any(part in word for word in words) for part in key.split()):
                return value
        raise AssertionError(f"no answer to {words}")

    def __call__(self, *words: str) -> dict[str, Any]:
        return dict(self._answer(*words))

    def sweep(self, *words: str) -> list[dict[str, Any]]:
        return list(self._answer("sweep", *words))

    def card(self, name: str) -> dict[str, Any]:
        return {"name": name, "license": self.answers[name]}

    def probe(self, *words: str) -> dict[str, Any]:
        return dict(self._answer(*words))

    def scores(self, cell: dict[str, Any]) -> list[float]:
        return list(cell["scores"])


def cell(score: float = 0.8, images: str = "a", n: int = 16, **parameters: Any) -> dict[str, Any]:
    """A cell of ``n`` prompts, all with one score up to a hair, and hashes ``a0, a1, ...``."""
    return {
        "status": "done",
        "parameters": {"num_inference_steps": 25, **parameters},
        "metrics": {},
        "scores": [score + 1e-4 * (i % 3) for i in range(n)],
        "images": [{"pixel_sha256": f"{images}{i}", "prompt": f"p{i}"} for i in range(n)],
    }


def pair(ratio: float, low: float, high: float) -> dict[str, Any]:
    """A ``bench pair`` document: candidate over baseline."""
    return {"ratio": ratio, "ci95": [low, high]}


def verdicts(found: Sequence[Row]) -> list[Verdict]:
    return [row.verdict for row in found]


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [
        ((2.0, 3.0), HOLDS),
        ((1.0, 1.9), FAILS),
        ((1.9, 2.1), OPEN),
        ((1.0, 2.0), OPEN),
        (None, OPEN),
        ((math.nan, 3.0), OPEN),
        ((2.0, math.inf), HOLDS),
    ],
)
def test_at_least_two(interval: tuple[float, float] | None, verdict: Verdict) -> None:
    assert at_least(interval, 2) == verdict
    mirrored = None if interval is None else (-interval[1], -interval[0])
    assert at_most(mirrored, -2) == verdict


def test_no_difference_at_all_is_no_gain() -> None:
    assert at_least((0.0, 0.0), 0) == HOLDS
    assert more_than((0.0, 0.0), 0) == FAILS
    assert more_than((0.1, 0.2), 0) == HOLDS
    assert more_than((-0.1, 0.2), 0) == more_than(None, 0) == OPEN


def test_claims_of_all_and_of_some() -> None:
    assert every([HOLDS, HOLDS]) == HOLDS
    assert every([HOLDS, OPEN]) == OPEN
    assert every([OPEN, FAILS]) == FAILS
    assert some([FAILS, HOLDS]) == HOLDS
    assert some([FAILS, OPEN]) == OPEN
    assert some([FAILS, FAILS]) == FAILS
    assert every([]) == some([]) == OPEN


def test_counts_and_peaks() -> None:
    assert [exactly(3, 3), exactly(2, 3), exactly(0, 0)] == [HOLDS, FAILS, OPEN]
    assert all_below([1, 2], [3, 4]) == HOLDS
    assert all_below([3, 4], [1, 3]) == FAILS
    assert all_below([1, 3], [2, 4]) == OPEN
    assert all_below([], [1]) == OPEN


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [
        (pair(1 / 70, 1 / 75, 1 / 65), [HOLDS, HOLDS]),
        (pair(1 / 28, 1 / 31, 1 / 25), [FAILS, HOLDS]),
        (pair(1 / 3, 1 / 3.4, 1 / 2.9), [FAILS, OPEN]),
        (pair(1 / 2, 1 / 2.2, 1 / 1.8), [FAILS, FAILS]),
    ],
)
def test_latency(ratio: dict[str, Any], expected: list[Verdict]) -> None:
    found = by_command.latency(FakeLab({"bench": ratio}))
    assert verdicts(found) == expected


def test_latency_is_written_as_times_faster() -> None:
    found = by_command.latency(FakeLab({"bench": pair(0.25, 0.2, 0.5)}))
    assert found[0].measured == "4.0 times (2.0 to 5.0), batch 1"


@pytest.mark.parametrize(("vae", "verdict"), [(0.7, HOLDS), (0.3, FAILS)])
def test_vae_share(vae: float, verdict: Verdict) -> None:
    stages = [{"vae": vae + 0.01 * (i % 2), "unet": 0.2, "other": 0.8 - vae} for i in range(8)]
    lab = FakeLab({"bench": {"cells": [{"stages_s": one} for one in stages]}})
    assert verdicts(by_command.vae_share(lab)) == [verdict]


@pytest.mark.parametrize(("student", "verdict"), [(0.79, HOLDS), (0.7, FAILS)])
def test_one_step(student: float, verdict: Verdict) -> None:
    lab = FakeLab({"num_inference_steps=1": [cell(student)], "nano-sdxl": [cell(0.8)]})
    found = by_command.one_step(lab)
    assert verdicts(found) == [verdict]
    assert "the teacher's 25 steps" in found[0].measured


@pytest.mark.parametrize(
    ("times", "verdict"), [((3, 2.9, 3.1), HOLDS), ((8, 7, 9), FAILS), ((4, 3, 5), OPEN)]
)
def test_throughput(times: tuple[float, float, float], verdict: Verdict) -> None:
    """Gains of a batch of 8 against one by one; other sizes gain nothing."""
    answers = {"batch_size=8": pair(*times), "batch_size=16": pair(16, 15, 17)}
    lab = FakeLab({**answers, "batch_size=32": pair(32, 31, 33)})
    assert verdicts(by_command.throughput(lab)) == [verdict]


def test_one_pass() -> None:
    cells = [cell(n=64), cell(n=64)]
    assert verdicts(by_command.one_pass(FakeLab({"sweep": cells}))) == [HOLDS, UNTESTED, UNTESTED]
    cells[1]["status"] = "failed"
    assert verdicts(by_command.one_pass(FakeLab({"sweep": cells})))[0] == FAILS


@pytest.mark.parametrize(("ratio", "verdict"), [(1.05, HOLDS), (1.9, FAILS)])
def test_launch_bound_is_asked_of_a_gpu(ratio: float, verdict: Verdict) -> None:
    answers = {"sweep": [cell(n=64)], "bench": pair(ratio, ratio - 0.01, ratio + 0.01)}
    assert by_command.one_pass(FakeLab(answers, ON_GPU))[-1].verdict == verdict


def _sized(tmp_path: Path, size: tuple[int, int], name: str, score: float) -> dict[str, Any]:
    path = tmp_path / f"{name}.png"
    Image.new("RGB", size).save(path)
    found = cell(score, resolution=name)
    return {**found, "images": [image | {"path": str(path)} for image in found["images"]]}


def test_sizes(tmp_path: Path) -> None:
    native = _sized(tmp_path, (64, 64), "64x64", 0.8)
    good = _sized(tmp_path, (128, 64), "128x64", 0.8)
    bad = _sized(tmp_path, (64, 64), "128x128", 0.5)
    assert verdicts(by_command.sizes(FakeLab({"sweep": [native, good]}))) == [HOLDS, HOLDS]
    assert verdicts(by_command.sizes(FakeLab({"sweep": [native, bad]}))) == [FAILS, FAILS]


def test_components() -> None:
    def found(other: dict[str, Any], last: dict[str, Any]) -> list[Verdict]:
        answers = {"scheduler=": [cell(), cell(), other], "model=": [cell(), cell(), last]}
        return verdicts(by_command.components(FakeLab(answers)))

    failed = {**cell(), "status": "failed"}
    assert found(cell(0.79), cell()) == [HOLDS, HOLDS]
    assert found(cell(0.6), cell()) == [FAILS, HOLDS]
    assert found(failed, failed) == [FAILS, FAILS]


@pytest.mark.parametrize(
    ("flat", "bare", "verdict"), [("b", "a", HOLDS), ("b", "c", FAILS), ("a", "a", FAILS)]
)
def test_adapters(flat: str, bare: str, verdict: Verdict) -> None:
    worn = [cell(images=flat), cell(images="s"), cell(images=bare)]
    lab = FakeLab({"claims-alone": [cell()], "claims-stack": worn})
    assert verdicts(by_command.adapters(lab)) == [verdict]


def test_a_family_with_no_adapters_says_so() -> None:
    lab = FakeLab({}, FAMILIES["sdxl"])
    assert verdicts(by_command.adapters(lab)) == [UNTESTED]
    assert "--loras A,B" in by_command.adapters(lab)[0].measured
    assert with_loras(FAMILIES["sdxl"], "one,two").loras == ("one", "two")
    assert with_loras(FAMILIES["nano"], "").loras == ("flat", "ink")


@pytest.mark.parametrize(
    ("recall", "guided", "expected"),
    [
        ([0.8, 0.99], 0.7, [FAILS, FAILS]),
        ([0.0, 0.1], 0.9, [HOLDS, HOLDS]),
        ([0.05, 0.4], 0.8, [OPEN, FAILS]),
    ],
)
def test_guidance(recall: list[float], guided: float, expected: list[Verdict]) -> None:
    """16 prompts: chance is at most 1/16, and 5 points more are still chance."""
    off = cell()
    off["metrics"]["r_precision"] = {"value": 0.5, "ci95": recall}
    lab = FakeLab({"guidance_scale=": [off, cell(0.5), cell(guided), cell(0.5)]})
    assert verdicts(by_command.guidance(lab)) == expected


def _drawn(tmp_path: Path, name: str, level: int) -> dict[str, Any]:
    """A cell whose fourth image is a file of its own: one pixel of ``level``."""
    path = tmp_path / f"{name}.png"
    Image.new("RGB", (1, 1), (level, 0, 0)).save(path)
    found = cell()
    found["images"][3] |= {"path": str(path), "pixel_sha256": name}
    return found


def test_seeds(tmp_path: Path) -> None:
    base, other = _drawn(tmp_path, "x", 10), _drawn(tmp_path, "y", 12)
    answers = {"batch_size=8 num_threads=2": [other], "batch_size=8": [base]}
    found = by_command.seeds(FakeLab({**answers, "batch_size=1": [other]}))
    assert verdicts(found) == [HOLDS, FAILS, FAILS, UNTESTED]
    assert found[0].measured == "16 of 16 images identical to the bit"
    assert found[1].measured == "15 of 16 images identical to the bit, the others within 2 of 255"


@pytest.mark.parametrize(("level", "name", "verdict"), [(10, "x", HOLDS), (9, "y", FAILS)])
def test_devices_are_asked_of_a_gpu(
    tmp_path: Path, level: int, name: str, verdict: Verdict
) -> None:
    base = _drawn(tmp_path, "x", 10)
    answers = {"device=cpu": [base], "device=cuda": [_drawn(tmp_path, name, level)]}
    found = by_command.seeds(FakeLab({**answers, "sweep": [base]}, ON_GPU))
    assert found[-1].verdict == verdict


def test_licences() -> None:
    own = {"nano-turbo": "Apache-2.0"}
    free = FakeLab({"sdxl-turbo": "apache-2.0", **own})
    other = FakeLab({"sdxl-turbo": "other (community licence)", **own})
    assert verdicts(by_command.licences(free)) == [HOLDS]
    assert verdicts(by_command.licences(other)) == [FAILS]


def _modes(last: int) -> dict[str, Any]:
    modes = {"slicing": {"num_equal": 8, "max_abs": 0}, "tiling": {"num_equal": last, "max_abs": 9}}
    return {"modes": modes, "num_images": 8, "resolution": "128x128"}


def _fused(count: int) -> dict[str, Any]:
    dtypes = {name: {"worn": 0, "fused": count, "weights": 100} for name in ("float32", "float16")}
    return {"adapter": "flat", **dtypes}


PARTS = ["unet", "vae"]


@pytest.mark.parametrize(
    ("rule", "facts", "expected"),
    [
        (by_pipeline.safety_checker, {"components": ["unet"]}, FAILS),
        (by_pipeline.safety_checker, {"components": ["safety_checker", "unet"]}, HOLDS),
        (by_pipeline.swaps, {"parts": PARTS, "took_effect": PARTS, "restored": PARTS}, HOLDS),
        (by_pipeline.swaps, {"parts": PARTS, "took_effect": PARTS, "restored": ["vae"]}, FAILS),
        (by_pipeline.swaps, {"parts": PARTS, "took_effect": ["vae"], "restored": PARTS}, FAILS),
        (by_pipeline.guidance_off, {"scales": [1], "num_equal": [8], "num_images": 8}, HOLDS),
        (by_pipeline.guidance_off, {"scales": [1], "num_equal": [7], "num_images": 8}, FAILS),
        (by_pipeline.multiples, {"native": 64, "taken": {"4": False, "8": False}}, HOLDS),
        (by_pipeline.multiples, {"native": 64, "taken": {"4": False, "8": True}}, FAILS),
        (by_pipeline.memory_modes, _modes(8), HOLDS),
        (by_pipeline.memory_modes, _modes(0), FAILS),
        (by_pipeline.vae_in_16_bits, {"finite": 9, "values": 9, "max_levels": 0.3}, HOLDS),
        (by_pipeline.vae_in_16_bits, {"finite": 0, "values": 9, "max_levels": None}, FAILS),
        (by_pipeline.pickles, {"refused": 1}, HOLDS),
        (by_pipeline.pickles, {"refused": 0}, FAILS),
        (by_pipeline.image_to_image, {"with_source": [1.0] * 8, "without": [5.0] * 8}, HOLDS),
        (by_pipeline.image_to_image, {"with_source": [5.0] * 8, "without": [5.0] * 8}, FAILS),
        (by_pipeline.image_to_image, {"with_source": [1.0] * 3, "without": [5.0] * 3}, OPEN),
    ],
)
def test_facts_of_the_pipeline(
    rule: Callable[[Any], list[Row]], facts: dict[str, Any], expected: Verdict
) -> None:
    assert rule(facts)[0].verdict == expected


def test_fusing() -> None:
    assert verdicts(by_pipeline.fusing(_fused(0))) == [HOLDS, HOLDS]
    found = by_pipeline.fusing(_fused(17))
    assert verdicts(found) == [HOLDS, FAILS]
    assert "float16 17 (17.0%)" in found[1].measured
    worn = _fused(0)
    worn["float16"]["worn"] = 1
    assert verdicts(by_pipeline.fusing(worn)) == [FAILS, HOLDS]


@pytest.mark.parametrize(("sliced", "verdict"), [(900, HOLDS), (1100, FAILS)])
def test_memory(sliced: int, verdict: Verdict) -> None:
    peaks = {"plain": 1000 << 20, "slicing": sliced << 20, "offload": 500 << 20}
    answers = {mode: {"peak_memory_bytes": peak} for mode, peak in peaks.items()}
    assert verdicts(by_pipeline.memory(FakeLab(answers))) == [verdict, UNTESTED]
    assert verdicts(by_pipeline.memory(FakeLab(answers, ON_GPU))) == [verdict, HOLDS]


@pytest.mark.parametrize(("score", "verdict"), [(0.79, HOLDS), (0.7, FAILS)])
def test_quantised(score: float, verdict: Verdict) -> None:
    lab = FakeLab({"quantization=none": [cell(), cell(), cell(score), cell()]})
    assert verdicts(by_command.quantised(lab)) == [verdict, UNTESTED]


def test_a_command_that_fails_is_a_row_and_the_rest_goes_on() -> None:
    def broken(lab: Lab) -> list[Row]:
        """Of something."""
        raise CommandError("`sweep` ended with 2")

    def fine(lab: Lab) -> list[Row]:
        return [Row("a", "b", HOLDS)]

    found = list(rows(FakeLab({}), [broken, fine]))
    assert found[0] == Row("Of something.", "`sweep` ended with 2", UNTESTED)
    assert verdicts(found) == [UNTESTED, HOLDS, UNTESTED]


@pytest.mark.parametrize(("code", "works"), [(0, True), (3, True), (1, False), (2, False)])
def test_an_incomplete_sweep_has_figures_and_a_failed_one_none(code: int, works: bool) -> None:
    """``timeit`` stands in for turbo-lab: it runs the text that it is given."""
    words = ("-n1", "-r1", f"import os; os.write(1, b'{{}}'); os._exit({code})")
    if works:
        assert run("timeit", *words) == {}
    else:
        with pytest.raises(CommandError, match=f"ended with {code}"):
            run("timeit", *words)


def test_a_cell_that_failed_has_no_scores() -> None:
    failed = {"status": "failed", "error": "out of memory"}
    with pytest.raises(CommandError, match="could not be drawn: out of memory"):
        Lab(FAMILIES["nano"], "nano", 8).scores(failed)


def test_figures_without_an_interval_are_not_made_up() -> None:
    assert figure({"value": None, "ci95": None}) == "unscored"
    assert figure({"value": 0.5, "ci95": None}) == "0.500 (no interval)"
    few = difference(FakeLab({}), cell(0.7, n=4), cell(0.8, n=4))
    assert few == Difference(pytest.approx(-0.1), None)
    assert str(few) == "-0.100 (no interval)"
    assert untested("c", "why", "turbo-lab x").measured == "why: `turbo-lab x`"


def test_a_key_is_given_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def record(module: str, *words: str) -> dict[str, Any]:
        seen.extend(words)
        return {"cells": []}

    monkeypatch.setattr("experiments.claims.lab.run", record)
    Lab(FAMILIES["nano"], "nano", 8).sweep("num_threads=2", "model=nano-sdxl")
    keys = [word.partition("=")[0] for word in seen if "=" in word]
    assert len(keys) == len(set(keys))
    assert {"num_threads=2", "model=nano-sdxl", "num_images=8", "device=cpu"} <= set(seen)
