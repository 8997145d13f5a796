"""The table of entrants: figures of images, scores and times, or none where there are none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.compare.test_contenders import timed
from turbo_lab.compare.entrant import Contender
from turbo_lab.compare.entrant_table import Distances, entrant_results
from turbo_lab.images import encode_png
from turbo_lab.store.record import EnergySummary


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Contender, Contender]:
    """A reference and a faster entrant with nearly the same images."""
    monkeypatch.setattr(
        "turbo_lab.golden.embedding.image_embedding",
        lambda: lambda images: images.reshape(len(images), -1).astype(np.float64),
    )
    found = []
    for name, shift, seconds in (("reference", 0, 0.2), ("entrant", 3, 0.1)):
        images = {}
        for prompt in "abcdefgh":
            shade = np.full((64, 64, 3), 100 + shift + ord(prompt), np.uint8)
            shade[::7, ::5] = 30
            images[prompt] = tmp_path / f"{name}-{prompt}.png"
            images[prompt].write_bytes(encode_png(shade, {}))
        contender = replace(timed(1, seconds, seconds / 2), label=name, images=images)
        found.append(contender)
    return found[0], found[1]


def test_one_row_per_entrant(pair: tuple[Contender, Contender]) -> None:
    reference, entrant = pair
    energy = EnergySummary(12.3, None, 9, "counter", (100.0,) * 9)
    timing = replace(entrant.timing, weights_bytes=3 << 20, peak_memory_bytes=7, energy=energy)
    entrant = replace(entrant, timing=timing)
    contenders = {one.label: one for one in (reference, entrant)}
    first, second, failed = entrant_results(
        contenders, reference, {"float8": "needs a GPU"}, Distances()
    )
    assert (first.label, first.latency_ratio, first.psnr_db) == ("reference", 1.0, None)
    assert first.weights_bytes is None and first.clip_score_difference is None
    assert second.latency_ratio == pytest.approx(0.5) and second.latency_p50_s == 0.1
    assert second.psnr_db == pytest.approx(20 * np.log10(255 / 3), abs=1)
    assert second.worst_tile_ssim is not None and 0.9 < second.worst_tile_ssim < 1
    assert (second.weights_bytes, second.peak_memory_bytes) == (3 << 20, 7)
    assert second.joules_per_image == 12.3 and second.frechet_difference is None
    assert (failed.label, failed.error, failed.latency_ratio) == ("float8", "needs a GPU", None)


def test_models_of_two_sizes_have_no_distances(pair: tuple[Contender, Contender]) -> None:
    reference, entrant = pair
    parameters = replace(entrant.measured.parameters, resolution="128x128")
    entrant = replace(entrant, measured=replace(entrant.measured, parameters=parameters))
    contenders = {one.label: one for one in (reference, entrant)}
    _, row = entrant_results(contenders, reference, {}, Distances())
    assert (row.lpips, row.psnr_db, row.worst_tile_ssim) == (None, None, None)
    assert row.latency_ratio == pytest.approx(0.5)


def test_two_sides_are_compared_once(
    pair: tuple[Contender, Contender], monkeypatch: pytest.MonkeyPatch
) -> None:
    distances = Distances()
    first = distances.between(*pair)
    monkeypatch.setattr("turbo_lab.compare.entrant_table.image_distances", None)
    assert first and distances.between(*reversed(pair)) is first
