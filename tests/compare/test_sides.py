"""Drawing one side of a comparison."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.small_sweeps import small_sweep
from turbo_lab.cards import ModelSource
from turbo_lab.compare.sides import draw_side, require_one_cell
from turbo_lab.errors import InputError, JudgementError, MissingFilesError
from turbo_lab.images import pixel_sha256, read_png
from turbo_lab.planning.resolved_sweep import ResolvedSweep


def test_a_side_has_exactly_one_cell(tiny_sdxl_dir: Path) -> None:
    one = small_sweep(tiny_sdxl_dir)
    assert require_one_cell("gate", "candidate", one) is one
    two = small_sweep(tiny_sdxl_dir, "num_inference_steps=1,2")
    with pytest.raises(InputError, match="^gate: the candidate is a grid of 2 cells; pass one val"):
        require_one_cell("gate", "candidate", two)


def test_a_drawn_side_has_the_form_of_a_baseline(tiny_sdxl_dir: Path, tmp_path: Path) -> None:
    words = (f"store={tmp_path / 'store'}", "num_images=3", "prompt=a red apple")
    sweep = small_sweep(tiny_sdxl_dir, *words)
    side = draw_side("the candidate", sweep)
    assert side.sweep is sweep and side.done.from_store == 0
    assert side.measured.keys == tuple(("a red apple", seed) for seed in range(3))
    assert side.measured.record_id == side.done.record.record_id
    ((prompt, first),) = side.first_images().items()
    assert prompt == "a red apple"
    assert pixel_sha256(read_png(first)[0]) == side.measured.pixel_sha256[0]
    again = draw_side("the candidate", sweep)
    assert again.done.from_store == 3, "nothing is drawn that the store holds"
    assert again.measured.pixel_sha256 == side.measured.pixel_sha256


def unfit(sweep: ResolvedSweep) -> ResolvedSweep:
    """Return the sweep with a cell that is known to fail."""
    return replace(sweep, cells=(replace(sweep.cells[0], misfit="wide.safetensors: too wide"),))


def test_a_cell_that_fails_leaves_nothing_to_compare(tiny_sdxl_dir: Path, tmp_path: Path) -> None:
    sweep = small_sweep(tiny_sdxl_dir, f"store={tmp_path / 'store'}")
    with pytest.raises(JudgementError, match="the baseline could not be drawn: wide.safetensors"):
        draw_side("the baseline", unfit(sweep))


def test_wrong_input_stays_wrong_input(tiny_sdxl_dir: Path, tmp_path: Path) -> None:
    missing = tmp_path / "nowhere.safetensors"
    words = (f"store={tmp_path / 'store'}", "metrics=default", f"reference={missing}")
    with pytest.raises(MissingFilesError, match="nowhere.safetensors does not exist"):
        draw_side("the candidate", small_sweep(tiny_sdxl_dir, *words))


def test_a_bug_is_a_judgement_that_could_not_be_reached(
    tiny_sdxl_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = small_sweep(tiny_sdxl_dir, f"store={tmp_path / 'store'}")
    (key,) = sweep.library.models
    card, files = sweep.library.models[key]
    sweep.library.models[key] = (card, replace(files, source=ModelSource(None)))  # type: ignore[arg-type]
    with pytest.raises(JudgementError, match="the candidate could not be drawn: AttributeError"):
        draw_side("the candidate", sweep)
    assert "Traceback" in capsys.readouterr().err
