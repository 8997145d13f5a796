"""Slicing, tiling and offloading in sweeps, records, goldens and ``reproduce``."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from turbo_lab import images
from turbo_lab.cli.main import main
from turbo_lab.errors import InputError
from turbo_lab.store.store import Store
from turbo_lab.workflows.reproduce import drawing_of_record, reproduce

KEYS = ("vae_slicing", "vae_tiling")
# The nano VAE's tiles are as large as its samples, so that this size is drawn in several.
SWEEP = (
    "sweep",
    "vae_slicing=false,true",
    "vae_tiling=false,true",
    "resolution=128",
    "prompts=scenes-demo",
    "num_images=2",
    "num_threads=1",
    "timing=off",
    "metrics=none",
    "tracking=none",
    "--json",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("memory")


@pytest.fixture
def swept(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> list[dict[str, Any]]:
    """The cells of the sweep, which is drawn once."""
    monkeypatch.chdir(folder)
    capsys.readouterr()
    assert main([*SWEEP]) == 0
    cells: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["cells"]
    return cells


def pixels(cell: dict[str, Any]) -> np.ndarray:
    return np.stack([images.read_png(Path(one["path"]))[0] for one in cell["images"]])


def test_each_is_a_cell_and_a_sweep_shows_what_it_changes(swept: list[dict[str, Any]]) -> None:
    assert len({cell["cell_id"] for cell in swept}) == 4
    by_keys = {tuple(cell["parameters"][key] for key in KEYS): pixels(cell) for cell in swept}
    plain = by_keys[False, False].astype(int)
    assert np.abs(by_keys[True, False] - plain).max() <= 1, "image by image, with other rounding"
    assert 1 < np.abs(by_keys[False, True] - plain).max() < 128, "tiles are blended"
    about = json.loads(images.read_png(Path(swept[-1]["images"][0]["path"]))[1]["turbo-lab"])
    assert about["recipe"]["variant"] == [[key, "true"] for key in KEYS]


def test_each_is_reproduced_from_its_record_and_its_image(
    swept: list[dict[str, Any]], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for cell in swept[1:]:
        for word in (cell["cell_id"], cell["images"][1]["path"]):
            assert main(["reproduce", word, "num_threads=1"]) == 0
            assert "identical to the bit" in capsys.readouterr().out


def test_a_golden_keeps_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    case = (
        "prompt=a key",
        "resolution=128",
        "vae_tiling=true",
        "vae_slicing=true",
        "num_threads=1",
    )
    assert main(["golden", "record", "tiled", *case]) == 0
    golden = json.loads(Path("goldens/tiled/golden.json").read_text())
    assert golden["recipe"]["variant"] == [[key, "true"] for key in KEYS]
    assert main(["golden", "check", "tiled"]) == 0


def test_tiles_also_encode_a_source_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)).save(
        "noise.png"
    )
    words = [word for word in SWEEP if not word.startswith("vae_slicing")]
    assert main([*words, "image=noise.png", "strength=0.5", "num_inference_steps=2"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["work"]["source_rows"] == {"alone": 4, "done": 2}, "once per VAE"
    stages = [
        json.loads(images.read_png(Path(cell["images"][0]["path"]))[1]["turbo-lab"])["stages"]
        for cell in document["cells"]
    ]
    assert stages[0]["noise"] == stages[1]["noise"]
    assert stages[0]["encode"] != stages[1]["encode"]


@pytest.mark.parametrize("offload", ["model", "sequential"])
def test_a_cpu_refuses_to_offload_in_one_line(
    offload: str, swept: list[dict[str, Any]], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", f"offload={offload}", "device=cpu"]) == 2
    line = f"offload={offload}: this is a CPU, where all weights are already; use offload=none"
    assert capsys.readouterr().err.splitlines() == [f"turbo-lab: {line}"]
    # As if the record had been drawn on a GPU.
    store = Store(folder / "turbo-lab-store")
    drawing = drawing_of_record(next(store.records()), store)
    recipe = replace(drawing.recipe, variant=(("offload", offload),))
    with pytest.raises(InputError, match=line):
        reproduce(replace(drawing, recipe=recipe), "cpu", 1)
