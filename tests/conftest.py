"""What every test stands on: a cache of its own, no network, no GPU tests without a GPU."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path

import pytest

# Before any test module imports a library: they read these when they are imported.
_HOME = Path(tempfile.mkdtemp(prefix="turbo-lab-tests-"))
os.environ.update(
    TURBO_LAB_CACHE=str(_HOME / "cache"),
    HF_HUB_CACHE=str(_HOME / "hub"),
    HF_HUB_OFFLINE="1",
    TRANSFORMERS_OFFLINE="1",
    MLFLOW_DISABLE_TELEMETRY="true",
    DO_NOT_TRACK="1",
)
# Tests run side by side: an OpenMP thread that spins for one that was put aside waits 50 times
# as long as one that sleeps.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def pytest_unconfigure() -> None:
    """Nothing is left behind."""
    shutil.rmtree(_HOME, ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked ``gpu`` are left out without one."""
    from turbo_lab.environment import read_gpu

    if any("gpu" in item.keywords for item in items) and read_gpu() is None:
        skip = pytest.mark.skip(reason="needs an NVIDIA GPU")
        for item in items:
            if "gpu" in item.keywords:
                item.add_marker(skip)


@pytest.fixture(scope="session")
def tiny_sdxl_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A diffusers folder with SDXL's config keys and tiny random weights. Do not change it."""
    from tests.tiny_sdxl import save_tiny_sdxl

    return save_tiny_sdxl(tmp_path_factory.mktemp("tiny") / "tiny-sdxl")


@pytest.fixture
def packaged_weights(tiny_sdxl_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``models/weights`` as the package stores it, in miniature; ours points there."""
    weights = tmp_path / "weights"
    parts = {name: f"shared/{name}" for name in ("vae", "text_encoder", "text_encoder_2")}
    parts |= {name: f"shared/{name}" for name in ("tokenizer", "tokenizer_2")}
    for name, folder in parts.items():
        shutil.copytree(tiny_sdxl_dir / name, weights / folder)
    for name in ("nano-sdxl", "nano-turbo", "nano-lcm"):
        home = weights / name
        for part in ("unet", "scheduler"):
            shutil.copytree(tiny_sdxl_dir / part, home / part)
        shutil.copy(tiny_sdxl_dir / "model_index.json", home)
        card = {
            "name": name,
            "kind": "pipeline",
            "license": "Apache-2.0",
            "license_source": "here",
            "trained_on": "nothing",
            "parameters": 1,
            "figures": {},
            "parts": parts | {"unet": f"{name}/unet", "scheduler": f"{name}/scheduler"},
        }
        (home / "card.json").write_text(json.dumps(card))
    for module in ("packaged", "adapter"):
        monkeypatch.setattr(f"turbo_lab.cards.{module}.WEIGHTS", weights)
    monkeypatch.setattr("turbo_lab.models.WEIGHTS", weights)
    return weights
