"""The table of a cell's images, and the data set that it was measured on."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

from tests.report.results import sweep_result
from turbo_lab.tracking.evaluation import TABLE, TABLE_TAGS, dataset, images_table
from turbo_lab.tracking.facts import CellFacts
from turbo_lab.tracking.pictures import write_images


def facts_with(cell, folder: Path, **per_image: tuple[float, ...]) -> CellFacts:
    return replace(CellFacts.of(cell, folder), per_image=per_image)


def test_the_table_has_an_image_and_a_value_per_row(tmp_path: Path) -> None:
    cell = sweep_result(tmp_path).cells[0]
    facts = facts_with(cell, tmp_path, clip_score=(0.25, 0.5, math.inf, math.nan))
    table = json.loads(images_table(cell, facts, shows_images=True))
    assert table["columns"] == ["image", "output", "prompt", "seed", "clip_score", "pixel_sha256"]
    assert [row[0] for row in table["data"]] == [f"p <{k}>, seed {k}" for k in range(4)]
    assert [row[2] for row in table["data"]] == [f"p <{k}>" for k in range(4)]
    assert [row[4] for row in table["data"]] == [0.25, 0.5, "inf", "nan"]
    write_images(cell.images, tmp_path / "images")
    for row in table["data"]:
        assert row[1]["type"] == "image"
        assert (tmp_path / row[1]["filepath"]).is_file()
        assert (tmp_path / row[1]["compressed_filepath"]).is_file()
    plain = json.loads(images_table(cell, facts, shows_images=False))
    assert plain["columns"] == ["image", "prompt", "seed", "clip_score", "pixel_sha256"]


def test_flags_are_a_column_if_images_were_judged(tmp_path: Path) -> None:
    cell = sweep_result(tmp_path).cells[0]
    images = tuple(replace(one, flagged=k == 1) for k, one in enumerate(cell.images))
    judged = replace(cell, images=images)
    table = json.loads(images_table(judged, facts_with(judged, tmp_path), shows_images=False))
    assert table["columns"] == ["image", "prompt", "seed", "flagged", "pixel_sha256"]
    assert [row[3] for row in table["data"]] == [False, True, False, False]


def test_mlflows_own_client_reads_the_table(tmp_path: Path) -> None:
    from mlflow.tracking import MlflowClient

    cell = sweep_result(tmp_path).cells[0]
    (tmp_path / TABLE).write_text(images_table(cell, facts_with(cell, tmp_path), False))
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    client = MlflowClient(uri)
    experiment = client.create_experiment("x", (tmp_path / "artifacts").as_uri())
    run = client.create_run(experiment, tags=TABLE_TAGS)
    client.log_artifact(run.info.run_id, str(tmp_path / TABLE))
    path = client.download_artifacts(run.info.run_id, TABLE, str(tmp_path))
    found = client._read_from_file(path)
    assert list(found["seed"]) == [0, 1, 2, 3] and next(iter(found["prompt"])) == "p <0>"


def test_a_data_set_is_prompts_and_seeds(tmp_path: Path) -> None:
    cell = sweep_result(tmp_path).cells[0]
    whole = dataset(cell)
    assert whole is not None and whole.name == "demo x4" and len(whole.digest) == 36
    assert json.loads(whole.profile) == {"num_images": 4, "num_prompts": 4}
    assert json.loads(whole.source)["prompt_sets"] == {"demo": "e" * 64}
    seeds = replace(cell.parameters, seed=7, seed_mode="same")
    images = tuple(replace(one, seed=7) for one in cell.images)
    other = dataset(replace(cell, parameters=seeds, images=images))
    assert other is not None and other.name == "demo x4, seed 7, same seed"
    fewer = dataset(replace(cell, images=cell.images[:1]))
    assert fewer is not None and fewer.name == "demo x1"
    assert len({whole.digest, other.digest, fewer.digest}) == 3
    assert dataset(replace(cell, images=())) is None
