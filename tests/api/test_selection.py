"""``cells=FILE``: exactly the chosen cells, with the other keys on top; refusals in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from turbo_lab.api.entrants import CompareWords
from turbo_lab.api.selection import compose_points
from turbo_lab.cli.main import main
from turbo_lab.compare.entrant import Entrant
from turbo_lab.errors import InputError, StoreError
from turbo_lab.planning.resolved_sweep import resolve_points

GRID = ("num_inference_steps=1,2", "guidance_scale=0,2", "lora=none,ink@0.8")
PLAIN = ("num_images=2", "num_threads=1", "timing=off", "metrics=none", "tracking=none")


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A real sweep of eight cells, in a folder of its own."""
    folder = tmp_path_factory.mktemp("swept")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["sweep", *GRID, *PLAIN, "prompts=scenes-demo"]) == 0
    (path,) = folder.glob("turbo-lab-store/sweeps/*/sweep.json")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


@pytest.fixture(autouse=True)
def folder(swept: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Path:
    found = Path(swept["store"]).parent
    monkeypatch.chdir(found)
    return found


def select(swept: dict[str, Any], *indices: int, **changes: object) -> str:
    """Write a selection of some of the cells and return its name."""
    cells = [swept["cells"][index] for index in indices]
    chosen = [{"cell_id": c["cell_id"], "axes": c["axes"], "images": []} for c in cells]
    document = {
        "schema": 1,
        "turbo_lab": "0.1.0",
        "kind": "turbo-lab-selection",
        "sweep_id": swept["sweep_id"],
        "store": swept["store"],
        "favourites": chosen,
        "rejects": [],
        **changes,
    }
    Path("chosen.json").write_text(json.dumps(document))
    return "cells=chosen.json"


def test_exactly_the_chosen_cells_are_composed(swept: dict[str, Any]) -> None:
    word = select(swept, 6, 1, 1)
    points = compose_points("sweep", [word, "num_threads=1"])
    found = resolve_points(points).cells
    assert [cell.cell_id for cell in found] == [swept["cells"][i]["cell_id"] for i in (6, 1)]
    assert dict(points[0].axes) == swept["cells"][6]["axes"]


def test_other_keys_apply_to_each_cell(swept: dict[str, Any]) -> None:
    word = select(swept, 0, 7)
    points = compose_points("sweep", [word, "num_images=4", "seed=3,5", "metrics.names=clip_score"])
    found = [cell.request for cell in resolve_points(points).cells]
    assert [one.num_images for one in found] == [4] * 4
    assert [one.seed for one in found] == [3, 5, 3, 5]
    assert [one.num_inference_steps for one in found] == [1, 1, 2, 2]
    assert [key for key, _ in points[0].axes] == [*swept["cells"][0]["axes"], "seed"]


def test_a_key_replaces_the_axis_of_its_name(swept: dict[str, Any]) -> None:
    points = compose_points("sweep", [select(swept, 0, 4), "num_inference_steps=3"])
    assert [dict(point.axes) for point in points] == [{"guidance_scale": 0, "lora": "none"}] * 2
    assert [point.values["num_inference_steps"] for point in points] == [3, 3]


def test_plan_shows_that_the_chosen_cells_are_in_the_store(
    swept: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", select(swept, 2, 5), "num_threads=1", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["counts"] == {"requested": 2, "distinct": 2, "in_store": 2, "to_run": 0}
    assert [cell["axes"] for cell in plan["cells"]] == [swept["cells"][i]["axes"] for i in (2, 5)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"favourites": []}, "cells=chosen.json: has no favourites; mark images"),
        ({"sweep_id": "ab" * 8}, "is a selection of sweep abababababababab, which the store"),
        ({"sweep_id": "../../x"}, "sweep_id"),
        ({"kind": "sweep"}, "holds a 'sweep' document where 'turbo-lab-selection' belongs"),
        ({"schema": 99}, "newer than this turbo-lab's"),
        ({"favourites": [{"cell_id": 3}]}, r"favourites\[0\].cell_id is 3, not text"),
        (
            {"favourites": [{"cell_id": "ff", "axes": {}, "images": []}]},
            "cell 'ff' is not in sweep",
        ),
    ],
)
def test_a_wrong_selection_is_refused(
    swept: dict[str, Any], changes: dict[str, object], message: str
) -> None:
    word = select(swept, 0, **changes)
    with pytest.raises((InputError, StoreError), match=message):
        compose_points("sweep", [word])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["cells=absent.json"], "absent.json: does not exist"),
        (["cells=chosen.json", "store=elsewhere"], "the store elsewhere does not have; set store="),
        (["cells=chosen.json,other.json"], "cells: takes one file"),
    ],
)
def test_what_is_not_there_is_one_line(
    swept: dict[str, Any],
    words: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    select(swept, 0)
    assert main(["sweep", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_a_cell_that_would_be_another_one_is_refused(
    swept: dict[str, Any], folder: Path, tmp_path: Path
) -> None:
    word = select(swept, 0)
    path = folder / "turbo-lab-store" / "sweeps" / swept["sweep_id"] / "sweep.json"
    before = path.read_text()
    path.write_text(before.replace('"seed": 0', '"seed": 1'))
    try:
        with pytest.raises(InputError, match="would be another cell here"):
            compose_points("sweep", [word])
    finally:
        path.write_text(before)


def test_prompts_of_a_file_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.txt").write_text("a red apple\na blue boat\n")
    words = ["prompts=file", "prompts.path=mine.txt"]
    assert main(["sweep", "num_inference_steps=1", *words, *PLAIN]) == 0
    (found,) = tmp_path.glob("turbo-lab-store/sweeps/*/sweep.json")
    word = select(json.loads(found.read_text()), 0)
    with pytest.raises(InputError, match=r"prompts of your own \(mine\), whose file"):
        compose_points("sweep", [word])
    (point,) = compose_points("sweep", [word, *words, "num_threads=1"])
    (cell,) = resolve_points([point]).cells
    assert cell.cell_id == json.loads(found.read_text())["cells"][0]["cell_id"]


def test_other_commands_say_which_ones_take_a_selection(
    swept: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["generate", "a red apple", select(swept, 0)]) == 2
    assert "only sweep, plan, bench and compare take a selection" in capsys.readouterr().err


def test_compare_takes_the_first_chosen_cell_as_the_candidate(swept: dict[str, Any]) -> None:
    word = select(swept, 5, 0)
    (candidate,), (baseline,) = CompareWords.split([word, "num_threads=1"]).entrants()
    assert isinstance(candidate, Entrant) and isinstance(baseline, Entrant)
    assert candidate.label == "nano-turbo 2 steps guidance_scale=0 lora=ink@0.8"
    assert baseline.label == "nano-turbo 1 step guidance_scale=0 lora=none"
    assert candidate.is_chosen and baseline.is_chosen
    for words, message in (
        ([select(swept, 5)], "cells= has one favourite"),
        ([word, "baselines=nano-lcm"], "cells= names the candidate and its baselines"),
    ):
        with pytest.raises(InputError, match=message):
            CompareWords.split(words).entrants()
