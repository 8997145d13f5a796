"""A model of the user's own: its own name, licence and size, and what is assumed about it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from turbo_lab import config
from turbo_lab.cards import assemble, locate, model_card_from_config
from turbo_lab.errors import InputError
from turbo_lab.planning.resolved_sweep import ResolvedSweep, plan_result, resolve_points
from turbo_lab.request.own_model import with_own_name

STEPS = "num_inference_steps=1"
GUIDANCE = "guidance_scale=0"


@pytest.fixture
def folder(tiny_sdxl_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return shutil.copytree(tiny_sdxl_dir, tmp_path / "my model")


def resolved(*words: str) -> ResolvedSweep:
    quick = ("metrics=none", "tracking=none", "num_images=1", "num_threads=1")
    return resolve_points(config.compose("plan", [*words, *quick]))


def test_a_folder_is_drawn_at_its_own_size_and_what_is_assumed_is_said(folder: Path) -> None:
    sweep = resolved("model=local", f"model.path={folder}")
    (cell,) = sweep.cells
    assert (cell.recipe.width, cell.recipe.height) == (64, 64)
    assert cell.request.model == "my model"
    assert cell.notes == (
        "model=my model: num_inference_steps=4 and guidance_scale=0 assumed, as for a few-step "
        "model; set both if it is another kind of model",
        "model=my model: drawn at 64x64, the size in its configs",
    )
    assert plan_result(sweep).warnings[:2] == cell.notes
    (cell,) = resolved(
        "model=local", f"model.path={folder}", STEPS, GUIDANCE, "resolution=128"
    ).cells
    assert cell.notes == () and cell.recipe.width == 128


def test_a_size_that_cannot_be_drawn_is_asked_for(folder: Path) -> None:
    file = folder / "unet" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"sample_size": 10}))
    with pytest.raises(
        InputError, match="resolution=native: model=my model was made for 80 pixels"
    ):
        resolved("model=local", f"model.path={folder}")


def test_native_is_a_size_for_every_model(folder: Path) -> None:
    assert resolved("resolution=native").cells[0].recipe.width == 64
    wide, native = resolved("resolution=128,native").cells
    assert (wide.recipe.width, native.recipe.width) == (128, 64)
    assert native.cell_id == resolved("resolution=64").cells[0].cell_id


def test_a_path_takes_settings_over_from_a_card_and_neither_its_name_nor_its_licence(
    tmp_path: Path,
) -> None:
    own = shutil.copytree(assemble("nano-turbo"), tmp_path / "copy")
    sweep = resolved("model=nano-turbo", f"model.path={own}")
    (cell,) = sweep.cells
    ((card, files),) = sweep.library.models.values()
    assert (cell.request.model, card.name, files.name) == ("copy", "copy", "copy")
    assert (card.license, files.license) == ("unknown", "unknown")
    assert files.license_source == "the user's own files"
    assert cell.cell_id == resolved("model=nano-turbo").cells[0].cell_id  # names are in no id
    assert cell.notes[0].startswith(
        "model=copy: num_inference_steps=1 and guidance_scale=0 assumed, as for model=nano-turbo"
    )
    stated = resolved("model=nano-turbo", f"model.path={own}", "model.license=MIT")
    ((card, files),) = stated.library.models.values()
    assert (files.license, files.license_source) == ("MIT", "model.license")


def test_a_size_that_a_card_gives_and_the_folder_contradicts_is_said(folder: Path) -> None:
    (cell,) = resolved("model=sdxl-turbo", f"model.path={folder}", STEPS, GUIDANCE).cells
    assert cell.recipe.width == 512
    assert cell.notes == (
        "model=my model: drawn at 512x512, as for model=sdxl-turbo; its configs name 64x64; "
        "set resolution=native to draw at that size",
    )


def test_own_prompts_are_known_by_their_file(tmp_path: Path) -> None:
    file = tmp_path / "posters.txt"
    file.write_text("a key\na bell\n")
    for words in (("prompts=file",), ("prompts=scenes-demo",)):
        sweep = resolved(*words, f"prompts.path={file}")
        assert sweep.cells[0].request.prompts == "posters"
        assert [one.name for one in sweep.library.prompt_sets.values()] == ["posters"]
    (tmp_path / "captions.txt").write_text("a key\n")
    words = ("prompts=parti", f"prompts.path={tmp_path / 'captions.txt'}", "prompts.format=text")
    assert resolved(*words).cells[0].request.prompts == "parti"


def test_a_card_of_ones_own_keeps_its_name_and_licence(folder: Path) -> None:
    """Such a card holds its path; the licence in it is that of its weights."""
    values = dict(config.compose("plan", ["model=local", f"model.path={folder}"])[0].group("model"))
    card = model_card_from_config({**values, "name": "posters", "license": "MIT"})
    files = locate(card)
    assert with_own_name(card, files, {"model"}) == (card, files)
    assert with_own_name(card, files, {"model.path"})[0] == replace(
        card, name="my model", license="unknown", license_source="the user's own files"
    )
