"""Measuring a cell: one pass, each metric's own fate, fingerprints without torch."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.tiny_clip import PROMPTS
from turbo_lab.identity import DigestCache, digest
from turbo_lab.metrics.context import MetricContext, metric_fingerprints
from turbo_lab.metrics.evaluate import measure
from turbo_lab.metrics.extractor import ClipExtractor
from turbo_lab.metrics.reference import build_reference, save_reference
from turbo_lab.metrics.reference_source import ReferenceSource
from turbo_lab.metrics.table import METRICS, SETS, metric_names
from turbo_lab.store.record import document, dump, read_measurement

SEEDS = tuple(range(20))
TEXTS = tuple(PROMPTS[i % len(PROMPTS)] for i in range(20))


def test_full_measures_everything(
    context: MetricContext, extractor: ClipExtractor, images: np.ndarray, cache: DigestCache
) -> None:
    found = measure(images, TEXTS, SEEDS, metric_names("full"), context, extractor, cache)
    assert [m.name for m in found] == [
        "clip_score",
        "fd/tiny-clip",
        "fd_infinity/tiny-clip",
        "kid/tiny-clip",
        "cmmd/tiny-clip",
        "r_precision",
        "diversity",
    ]
    by_name = {m.name: m for m in found}
    assert "unscored: n=20" in (by_name.pop("fd_infinity/tiny-clip").note or "")
    for m in by_name.values():
        row = METRICS[m.name.partition("/")[0]]
        assert m.value is not None and np.isfinite(m.value), m
        assert m.ci95 is not None and m.ci95[0] <= m.ci95[1], m
        assert (m.unit, m.direction) == (row.unit, row.direction)
        assert m.fingerprint == digest(m.details)
    assert by_name["clip_score"].value == pytest.approx(np.mean(by_name["clip_score"].per_image))
    assert by_name["diversity"].n == 10 and by_name["clip_score"].n == 20


def test_planned_fingerprints_are_the_measured_ones(
    context: MetricContext, extractor: ClipExtractor, images: np.ndarray, cache: DigestCache
) -> None:
    planned = metric_fingerprints(SETS["full"], context, cache)
    found = measure(images, TEXTS, SEEDS, SETS["full"], context, extractor, cache)
    assert planned == {m.name: m.fingerprint for m in found}
    assert len(set(planned.values())) == len(SETS["full"])


def test_measurements_survive_json(
    context: MetricContext, extractor: ClipExtractor, images: np.ndarray, cache: DigestCache
) -> None:
    for m in measure(images, TEXTS, SEEDS, SETS["full"], context, extractor, cache):
        assert read_measurement(json.loads(dump(document("measurement", m))), "here") == m


def test_a_repeat_is_equal_and_one_pass_serves_all(
    context: MetricContext,
    extractor: ClipExtractor,
    images: np.ndarray,
    cache: DigestCache,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = measure(images, TEXTS, SEEDS, SETS["full"], context, extractor, cache)
    calls, own = [], extractor.image_features
    monkeypatch.setattr(extractor, "image_features", lambda x: calls.append(len(x)) or own(x))
    assert measure(list(images), TEXTS, SEEDS, SETS["full"], context, extractor, cache) == first
    assert calls == [20]


def test_the_judge_is_loaded_once_a_process_when_none_is_given(
    context: MetricContext, images: np.ndarray, cache: DigestCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    from turbo_lab.metrics import extractor as module

    loads, own = [], module._load
    monkeypatch.setattr(module, "_load", lambda *a: loads.append(1) or own(*a))
    for _ in range(2):
        assert measure(images, TEXTS, SEEDS, ["clip_score"], context, cache=cache)[0].value
    assert len(loads) <= 1


def test_one_metrics_failure_is_its_own(
    context: MetricContext, extractor: ClipExtractor, images: np.ndarray, cache: DigestCache
) -> None:
    bare = replace(context, reference=None, prompt_set=())
    found = measure(images, TEXTS, SEEDS, SETS["full"], bare, extractor, cache)
    by_name = {m.name: m for m in found}
    assert by_name["clip_score"].value is not None and by_name["diversity"].value is not None
    assert by_name["fd/tiny-clip"].value is None
    assert (
        by_name["fd/tiny-clip"].note == "error: metrics=fd: needs reference=NAME or reference=FILE"
    )
    assert metric_fingerprints(SETS["full"], bare, cache) == {m.name: m.fingerprint for m in found}
    assert by_name["r_precision"].note is not None
    assert by_name["r_precision"].note.startswith(
        "error: metrics=r_precision: needs the prompt set"
    )


def test_another_judges_reference_is_that_metrics_error(
    tmp_path: Path,
    context: MetricContext,
    extractor: ClipExtractor,
    images: np.ndarray,
    cache: DigestCache,
) -> None:
    path = tmp_path / "old.safetensors"
    save_reference(path, build_reference(np.eye(12), "old", "f" * 64, "old-judge"))
    other = replace(context, reference=ReferenceSource("old", path))
    clip, fd = measure(images, TEXTS, SEEDS, SETS["default"], other, extractor, cache)
    assert clip.value is not None and fd.value is None
    assert fd.note is not None and "old-judge (ffffffffffff)" in fd.note
    assert fd.note.startswith("error: ") and "tiny-clip" in fd.note


@pytest.mark.parametrize(
    "spoil,message",
    [
        (lambda x: [*x[:-1], x[-1][:16]], "shapes differ (16x32x3, 32x32x3)"),
        (lambda x: np.where(np.arange(20)[:, None, None, None] < 3, np.nan, x), "3 with values"),
        (lambda x: x[:5], "5 images, 20 prompts, 20 seeds"),
        (lambda x: x[:0], "there are none"),
    ],
)
def test_bad_images_are_reported_not_raised(
    spoil,
    message: str,
    context: MetricContext,
    extractor: ClipExtractor,
    images: np.ndarray,
    cache: DigestCache,
) -> None:
    found = measure(spoil(images), TEXTS, SEEDS, SETS["default"], context, extractor, cache)
    for m in found:
        assert m.value is None and m.ci95 is None
        assert m.note is not None and m.note.startswith("error: ") and message in m.note


def test_few_images_are_unscored_not_zero(
    context: MetricContext, extractor: ClipExtractor, images: np.ndarray, cache: DigestCache
) -> None:
    found = measure(images[:1], TEXTS[:1], SEEDS[:1], SETS["full"], context, extractor, cache)
    by_name = {m.name: m for m in found}
    assert by_name["clip_score"].value is not None and by_name["clip_score"].ci95 is None
    assert by_name["fd/tiny-clip"].value is None and by_name["diversity"].value is None
    assert by_name["diversity"].note == "unscored: needs at least 2 images"


def test_repeats_are_told_of(
    images: np.ndarray, context: MetricContext, extractor: ClipExtractor, cache: DigestCache
) -> None:
    """A set that has a prompt twice, with seed_mode=same."""
    texts, seeds = [TEXTS[0], *TEXTS[:-1]], [SEEDS[0], *SEEDS[:-1]]
    found = measure(images, texts, seeds, ["clip_score"], context, extractor, cache)
    assert "1 of the images repeat a prompt and its seed" in (found[0].note or "")
    [plain] = measure(images, TEXTS, SEEDS, ["clip_score"], context, extractor, cache)
    assert "repeat" not in (plain.note or "")
