"""Pixels: the goldens that ship are those of the first release, and this code draws them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.contract.conftest import FILES, TurboLab

PINNED = json.loads((Path(__file__).parent / "pixels.json").read_text(encoding="utf-8"))


def pixel_sha256(path: Path) -> str:
    """Return the sha256 of ``WIDTHxHEIGHT`` and a line feed, then the uint8 RGB pixels."""
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    size = f"{pixels.shape[1]}x{pixels.shape[0]}\n".encode()
    return hashlib.sha256(size + pixels.tobytes()).hexdigest()


@pytest.fixture(scope="module")
def packaged(turbo_lab: TurboLab, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The list of the goldens that ship: those of a folder that has none."""
    return turbo_lab("golden", "list", "--json", folder=tmp_path_factory.mktemp("none")).document


def test_the_goldens_that_ship_have_not_moved(packaged: dict[str, Any]) -> None:
    outcomes = {row["name"]: row["outcome"] for row in packaged["goldens"]}
    assert outcomes == {name: pinned["outcome"] for name, pinned in PINNED.items()}


@pytest.mark.parametrize("name", PINNED)
def test_a_golden_keeps_its_pixels(name: str, packaged: dict[str, Any]) -> None:
    folder, pinned = Path(packaged["root"]) / name, PINNED[name]
    sidecar = json.loads((folder / "golden.json").read_text(encoding="utf-8"))
    assert sidecar["cell_id"] == pinned["cell_id"]
    stages = {stage["stage"]: stage["sha256"] for stage in sidecar["stages"]}
    assert stages["pixels"] == pinned["pixels"]
    assert pixel_sha256(folder / "image.png") == pinned["image"]


def test_this_code_draws_the_goldens(turbo_lab: TurboLab, tmp_path: Path) -> None:
    names = ["nano-turbo-1-step", "nano-turbo-flat-ink", "nano-turbo-128x64"]
    answer = turbo_lab("golden", "check", *names, "--json", folder=tmp_path)
    cases = answer.document["cases"]
    assert [(case["name"], case["verdict"]) for case in cases] == [(n, "pass") for n in names]
    assert answer.exit_code == 0
    assert all(case["identical"] for case in cases if case["tier"] == "T0")


def test_an_image_is_known_by_its_pixels() -> None:
    batches = sorted((FILES / "store" / "batches").rglob("batch.json"))
    assert batches
    for path in batches:
        for entry in json.loads(path.read_text(encoding="utf-8"))["images"]:
            assert pixel_sha256(path.with_name(entry["file"])) == entry["pixel_sha256"]
