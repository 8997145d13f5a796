"""Steps of drawing that a trial may replace: the defaults are those of a sweep."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.runtime.tiny import scheduler_json
from turbo_lab import images
from turbo_lab.errors import MissingFilesError
from turbo_lab.runtime import noise, seams
from turbo_lab.runtime.seams import SWEEP_SEAMS, Seams


def test_defaults_are_the_steps_of_a_sweep(tiny_sdxl_dir: Path) -> None:
    assert Seams() == SWEEP_SEAMS
    scheduler = SWEEP_SEAMS.make_scheduler(scheduler_json(tiny_sdxl_dir))
    assert type(scheduler).__name__ == "EulerAncestralDiscreteScheduler"
    ours, theirs = SWEEP_SEAMS.make_generators([1, 2]), noise.image_generators([1, 2])
    for one, two in zip(ours, theirs, strict=True):
        assert torch.equal(torch.randn(3, generator=one), torch.randn(3, generator=two))
    assert SWEEP_SEAMS.encode_png is images.encode_png
    assert SWEEP_SEAMS.sdpa_backends is None


def test_encoding_and_decoding_pass_on_what_they_are_given() -> None:
    def encode(**options: object) -> object:
        return options

    assert SWEEP_SEAMS.encode_prompt(encode, prompt="a", device="cpu") == {
        "prompt": "a",
        "device": "cpu",
    }
    latents = torch.ones(1, 4, 2, 2)
    assert torch.equal(SWEEP_SEAMS.decode(lambda x: 3 * x, latents), 3 * latents)
    assert torch.equal(SWEEP_SEAMS.encode_source(lambda x: 3 * x, latents), 3 * latents)
    assert seams.pass_on("unet.0", latents) is latents


def test_a_source_is_read_with_the_check_of_its_digest(tmp_path: Path) -> None:
    pixels = np.full((64, 64, 3), 9, np.uint8)
    (tmp_path / "a.png").write_bytes(images.encode_png(pixels, {}))
    digest = images.pixel_sha256(pixels)
    read = SWEEP_SEAMS.read_source(tmp_path / "a.png", digest, (64, 64))
    assert np.array_equal(read, pixels)
    with pytest.raises(MissingFilesError, match="does not hold source image"):
        SWEEP_SEAMS.read_source(tmp_path / "a.png", "0" * 64, (64, 64))


def test_adapters_are_put_on_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    from turbo_lab.runtime import lora

    seen: list[object] = []
    monkeypatch.setattr(lora, "put_on", lambda *given: seen.append(given))
    adapters = [("a", Path("a.safetensors"), 0.5), ("b", Path("b.safetensors"), 1.0)]
    SWEEP_SEAMS.put_on_lora("pipeline", adapters)
    assert seen == [("pipeline", adapters)]


def test_naming_a_change_imports_no_torch() -> None:
    code = "import sys; import turbo_lab.runtime.seams; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout.strip() == "False"
