"""Paired fidelity of two stacks of images."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from turbo_lab.errors import InputError
from turbo_lab.identity import DigestCache
from turbo_lab.metrics import lpips
from turbo_lab.metrics.paired import paired_fidelity

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 16, 16, 3), dtype=np.uint8)
PROMPTS = [str(i // 1) for i in range(12)]


def by_name(candidate: np.ndarray, **options: object) -> dict:  # type: ignore[type-arg]
    rows = paired_fidelity(candidate, IMAGES, PROMPTS, **options)  # type: ignore[arg-type]
    return {row.name: row for row in rows}


def test_equal_images() -> None:
    found = by_name(IMAGES)
    assert (found["exact_pixel_rate"].mean, found["max_abs"].mean) == (1.0, 0.0)
    assert found["psnr"].mean == math.inf and found["psnr"].ci95 is None
    assert "infinite" in (found["psnr"].note or "")
    assert found["ssim_min_tile"].mean == pytest.approx(1.0)


def test_one_bad_image_is_the_worst() -> None:
    changed = IMAGES.copy()
    changed[7] = 255 - changed[7]
    found = by_name(changed)
    assert found["window_density"].worst == 1.0
    assert found["window_density"].mean == pytest.approx(1 / 12)
    assert found["max_abs"].worst == found["max_abs"].mean * 12
    low, high = found["exact_pixel_rate"].ci95 or (0.0, 0.0)
    assert low < 11 / 12 <= high


def test_cosines_need_features_and_lpips_its_weights() -> None:
    assert "embedding_cosine" not in by_name(IMAGES)
    rows = np.random.default_rng(1).standard_normal((12, 4))
    assert by_name(IMAGES, features=(rows, -rows))["embedding_cosine"].mean == pytest.approx(-1)
    assert by_name(IMAGES)["lpips"].mean is None
    assert "unscored: lpips: needs torchvision's alexnet" in (by_name(IMAGES)["lpips"].note or "")


def test_lpips_where_its_weights_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By random weights in torchvision's place: the path, not the published network."""
    import torch
    import torchvision
    from torchmetrics.functional.image import learned_perceptual_image_patch_similarity

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    torch.manual_seed(0)
    lpips.alexnet_file().parent.mkdir(parents=True)
    torch.save(torchvision.models.alexnet().state_dict(), lpips.alexnet_file())
    images = np.random.default_rng(0).integers(0, 256, (9, 64, 64, 3), dtype=np.uint8)
    with pytest.raises(InputError, match="has sha256 .* torchvision's file 7be5be79"):
        lpips.lpips(images, images)
    monkeypatch.setattr(lpips, "ALEXNET_SHA256", DigestCache().file(lpips.alexnet_file())[:8])
    other = np.roll(images, 1, axis=0)
    rows = {row.name: row for row in paired_fidelity(other, images, list(range(9)))}
    found = rows["lpips"]
    assert found.n == 9 and found.ci95 is not None and found.worst > found.mean > 0
    assert lpips.lpips(images, images) == pytest.approx([0.0] * 9, abs=1e-6)
    one, two = (torch.from_numpy(x).permute(0, 3, 1, 2) / 255 for x in (other, images))
    oracle = learned_perceptual_image_patch_similarity(one, two, net_type="alex", normalize=True)
    assert found.mean == pytest.approx(float(oracle), rel=1e-4)


def test_stacks_that_do_not_pair_are_refused() -> None:
    with pytest.raises(InputError, match="compare equal prompts, seeds and sizes"):
        by_name(IMAGES[:3])
