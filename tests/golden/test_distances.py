"""The metrics of T1 and T2, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from turbo_lab.documents.golden import StageDifference
from turbo_lab.golden.distances import TIER_METRICS, Distance, measure_distances, threshold_name

BLACK = np.zeros((2, 32, 32, 3), np.uint8)


def stages(**relative: float | None) -> list[StageDifference]:
    """Return differences of stages (``unet_0`` is ``unet.0``), with pixels at the end."""
    named = {name.replace("_", "."): value for name, value in (relative | {"pixels": 0.0}).items()}
    return [
        StageDifference(name, equal=False, max_abs=value, relative_l2=value, estimated=False)
        for name, value in named.items()
    ]


def embed(images: np.ndarray) -> np.ndarray:
    """Direction (1, 0) for black images, (0, 1) for others."""
    is_black = images.reshape(len(images), -1).max(axis=1) == 0
    return np.stack([is_black, ~is_black], axis=1).astype(np.float32)


def test_t1_takes_the_last_of_each_kind_and_the_densest_window() -> None:
    actual = BLACK.copy()
    actual[1, :16, :8] = 3  # half of one window, just above the tolerance of 2 levels
    differences = stages(latents_0=0.5, latents_1=0.25, vae=0.125)
    found = measure_distances(BLACK, actual, differences, tier="T1", embed=None)
    assert found == {
        "latents_max_abs": Distance(0.25),
        "latents_relative_l2": Distance(0.25),
        "vae_relative_l2": Distance(0.125),
        "window_density": Distance(0.5),
    }
    assert measure_distances(BLACK, BLACK + 2, differences, tier="T1", embed=None)[
        "window_density"
    ] == Distance(0.0)


def test_t2_has_the_worst_image_of_a_batch() -> None:
    actual = BLACK.copy()
    actual[1] = 255
    found = measure_distances(BLACK, actual, stages(latents_0=0.5), tier="T2", embed=embed)
    assert found["embedding_distance"] == Distance(1.0)
    assert found["window_density"] == Distance(1.0)
    assert found["tile_ssim_loss"].value == pytest.approx(1.0, abs=1e-3)
    equal = measure_distances(BLACK, BLACK, stages(latents_0=0.0), tier="T2", embed=embed)
    assert {distance.value for distance in equal.values()} == {0.0}


def test_what_cannot_be_computed_has_a_reason() -> None:
    small = measure_distances(
        BLACK, BLACK[:, :16], stages(latents_0=0.5, vae=0.5), tier="T1", embed=None
    )
    assert set(small) == set(TIER_METRICS["T1"])
    assert {d.reason for d in small.values()} == {
        "images are (2, 16, 32, 3), the golden's (2, 32, 32, 3)"
    }
    missing = measure_distances(BLACK, BLACK, stages(latents_0=None), tier="T1", embed=None)
    assert missing["latents_max_abs"].value is None and missing["latents_max_abs"].reason
    blind = measure_distances(BLACK, BLACK, stages(latents_0=0.5), tier="T2", embed=None)
    assert blind["embedding_distance"] == Distance(None, "no extractor")


def test_images_alone_are_judged_by_their_pixels() -> None:
    found = measure_distances(BLACK, BLACK, stages(), tier="T1", embed=None)
    assert set(found) == {"window_density"}


def test_stages_of_another_kind_get_a_metric_each() -> None:
    found = measure_distances(
        BLACK, BLACK, stages(features=0.5, latents_0=0.0), tier="T1", embed=None
    )
    assert found["features_relative_l2"] == Distance(0.5)
    alone = measure_distances(BLACK, BLACK, stages(unet_0=0.5), tier="T1", embed=None)
    assert alone["unet.0_relative_l2"] == Distance(0.5)


def test_thresholds_are_per_kind_of_stage() -> None:
    assert threshold_name("unet.3") == "stage_relative_l2/unet"
