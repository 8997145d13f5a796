"""Cell ids, batch ids and reuse keys: a store of today is found again by every later version."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest

from tests.contract.conftest import FILES, TurboLab, digest

PINNED = json.loads((Path(__file__).parent / "ids.json").read_text(encoding="utf-8"))
_DRAWN = ("num_threads=1", "device=cpu", "metrics=none", "timing=off", "tracking=none")


def layout_digest(images: list[Mapping[str, Any]]) -> str:
    """Return the digest of a batch's rows: each prompt by its sha256, and the seeds."""
    prompts = [hashlib.sha256(image["prompt"].encode()).hexdigest() for image in images]
    return digest({"prompts": prompts, "seeds": [image["seed"] for image in images]})


def joined_digest(*lines: str) -> str:
    """Return the sha256 of lines, which is how a recipe and its rows make an id."""
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def plan(turbo_lab: TurboLab, folder: Path, *words: str) -> list[str]:
    """Return the cell ids of a grid, in order."""
    answer = turbo_lab("plan", "--json", *words, folder=folder)
    assert answer.exit_code == 0, answer.errors
    return [cell["cell_id"] for cell in answer.document["cells"]]


@pytest.mark.parametrize("name", PINNED["cells"])
def test_cell_ids_are_those_of_the_first_release(
    name: str, turbo_lab: TurboLab, tmp_path: Path
) -> None:
    pinned = PINNED["cells"][name]
    assert plan(turbo_lab, tmp_path, *pinned["words"]) == pinned["cells"]


@pytest.mark.parametrize(
    "words",
    [
        ["share=batched"],
        ["num_threads=1"],
        ["device=cpu"],
        ["timing=full"],
        ["metrics=full"],
        ["on_out_of_memory=split"],
        ["tracking=none"],
        ["store=elsewhere"],
        ["vae=none"],
        ["guidance_scale=0.5"],
        ["negative_prompt=''"],
        ["lora=ink@0+flat@0"],
        ["scheduler=EulerAncestralDiscreteScheduler"],
    ],
)
def test_what_does_not_change_the_work_does_not_change_the_id(
    words: list[str], turbo_lab: TurboLab, tmp_path: Path
) -> None:
    pinned = PINNED["cells"]["as recommended"]
    assert plan(turbo_lab, tmp_path, *pinned["words"], *words) == pinned["cells"]


def test_a_model_is_known_by_its_content(turbo_lab: TurboLab, tmp_path: Path) -> None:
    shown = turbo_lab("models", "show", "nano-turbo", "--json", folder=tmp_path).document
    shutil.copytree(shown["path"], tmp_path / "copy")
    pinned = PINNED["cells"]["as recommended"]
    words = ["model=local", "model.path=copy", "num_inference_steps=1", "guidance_scale=0"]
    assert plan(turbo_lab, tmp_path, *words, "resolution=64", "num_images=2") == pinned["cells"]


def test_a_prompt_is_known_by_its_text(turbo_lab: TurboLab, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("a red apple\n", encoding="utf-8")
    pinned = PINNED["cells"]["prompt"]
    words = ["sweep=single", "prompts=file", "prompts.path=mine.txt", "num_images=2"]
    assert plan(turbo_lab, tmp_path, *words) == pinned["cells"]


def test_a_quantised_cell_names_the_version_of_torchao(turbo_lab: TurboLab, tmp_path: Path) -> None:
    try:
        torchao = version("torchao")
    except PackageNotFoundError:
        pytest.skip("torchao is not installed")
    (batch,) = documents(FILES / "store", "batches", num_inference_steps=1, num_images=2)
    recipe = {**batch["recipe"], "variant": [["quantization", f"int8wo torchao {torchao}"]]}
    cell_id = joined_digest("cell", digest(recipe), layout_digest(batch["images"]))
    words = PINNED["cells"]["as recommended"]["words"]
    assert plan(turbo_lab, tmp_path, *words, "quantization=int8wo") == [cell_id]


def documents(
    store: Path, kind: str, num_inference_steps: int | None = None, num_images: int | None = None
) -> list[dict[str, Any]]:
    """Return the documents of one kind in a store, by number of steps and images if asked."""
    paths = sorted((store / kind).rglob("*.json"))
    found = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    return [
        values
        for values in found
        if num_inference_steps in (None, values["recipe"]["num_inference_steps"])
        and num_images in (None, len(values.get("images", ())))
    ]


@pytest.fixture(scope="module")
def drawn(turbo_lab: TurboLab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the cells whose batch ids are pinned."""
    folder = tmp_path_factory.mktemp("drawn")
    for pinned in PINNED["batches"].values():
        answer = turbo_lab("sweep", "--json", *pinned["words"], *_DRAWN, folder=folder)
        assert answer.exit_code == 0, answer.errors
    return folder / "turbo-lab-store"


@pytest.mark.parametrize("name", PINNED["batches"])
def test_batch_ids_are_those_of_the_first_release(name: str, drawn: Path) -> None:
    batches = {batch["reuse_key"]: batch for batch in documents(drawn, "batches")}
    records = {record["cell_id"]: record for record in documents(drawn, "records")}
    for cell_id, batch_ids in PINNED["batches"][name]["cells"].items():
        assert [batches[key]["batch_id"] for key in records[cell_id]["batches"]] == batch_ids


@pytest.fixture(params=["first release", "now"])
def store(request: pytest.FixtureRequest) -> Path:
    """The store that the first release wrote, then one written now."""
    if request.param == "first release":
        return FILES / "store"
    found: Path = request.getfixturevalue("drawn")
    return found


def test_ids_follow_from_recipes_and_rows(store: Path) -> None:
    batches = {batch["reuse_key"]: batch for batch in documents(store, "batches")}
    assert batches
    for batch in batches.values():
        rows = layout_digest(batch["images"])
        assert batch["batch_id"] == joined_digest("batch", digest(batch["recipe"]), rows)
    done = [record for record in documents(store, "records") if record["status"] == "done"]
    assert done
    for record in done:
        rows = [layout_digest(batches[key]["images"]) for key in record["batches"]]
        assert record["cell_id"] == joined_digest("cell", digest(record["recipe"]), *rows)


def test_files_are_named_by_content_environment_and_exactness(store: Path) -> None:
    batches = {path.parent.name: path for path in (store / "batches").rglob("batch.json")}
    records = {path.stem: path for path in (store / "records").rglob("*.json")}
    assert batches and records
    for name, path in records.items():
        record = json.loads(path.read_text(encoding="utf-8"))
        keys, exactness = record["fingerprint"]["keys"], record["exactness"]
        cell = {"cell": record["cell_id"], "keys": keys, "exactness": exactness}
        assert name == digest(cell) and path.parent.name == name[:2]
        for reuse_key in record["batches"] if record["status"] == "done" else ():
            batch = json.loads(batches[reuse_key].read_text(encoding="utf-8"))
            named = {"batch": batch["batch_id"], "keys": keys, "exactness": batch["exactness"]}
            assert reuse_key == digest(named)
            assert batches[reuse_key].parent.parent.name == reuse_key[:2]


def test_a_sweep_is_named_by_its_cells_and_its_environment(store: Path) -> None:
    (keys, *others) = [record["fingerprint"]["keys"] for record in documents(store, "records")]
    assert all(other == keys for other in others)
    sweeps = sorted((store / "sweeps").glob("*/sweep.json"))
    assert sweeps
    for path in sweeps:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        ids = [cell["cell_id"] for cell in cells]
        assert path.parent.name == digest({"cells": ids, "keys": keys})[:16]
