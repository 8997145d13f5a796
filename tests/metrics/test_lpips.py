"""LPIPS: where its weights are looked for, and its values against torchmetrics."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from turbo_lab.errors import InputError, MissingFilesError
from turbo_lab.identity import DigestCache
from turbo_lab.metrics import lpips
from turbo_lab.metrics.paired import paired_fidelity


def test_the_file_is_where_torch_hub_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("TORCH_HOME", raising=False)
    below = Path("hub") / "checkpoints" / "alexnet-owt-7be5be79.pth"
    assert lpips.alexnet_file() == Path("/home/me/.cache/torch") / below
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert lpips.alexnet_file() == Path("/cache/torch") / below
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert lpips.alexnet_file() == tmp_path / below
    images = np.zeros((1, 32, 32, 3), np.uint8)
    with pytest.raises(MissingFilesError, match=f"{lpips.ALEXNET_FILE} in {tmp_path}/hub"):
        lpips.lpips(images, images)


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
