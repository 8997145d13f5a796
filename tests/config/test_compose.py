"""The grid that is expanded in plain dicts is the one that Hydra would compose, point by point."""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from turbo_lab import config
from turbo_lab.cards import conf_dir
from turbo_lab.cli.main import main
from turbo_lab.errors import InputError


def expand(*arguments: str) -> list[config.GridPoint]:
    """Return our own expansion."""
    return config.compose("plan", arguments)


def composed(overrides: list[str]) -> dict[str, Any]:
    """Hydra's own composition of one job, from nothing."""
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return OmegaConf.to_container(compose("config", overrides), resolve=True)  # type: ignore[return-value]


GRIDS: list[list[tuple[str, list[str]]]] = [
    [("num_inference_steps", ["1", "2", "4"]), ("guidance_scale", ["0", "0.5", "2"])],
    [("model", ["nano-turbo", "sdxl-base"]), ("num_inference_steps", ["1", "3"])],
    [("model", ["nano-turbo", "sdxl-base"]), ("batch_size", ["1"])],
    [("prompts", ["scenes-heldout", "scenes-demo"]), ("prompts.file", ["a.txt", "b.txt"])],
    [("metrics", ["none", "full"]), ("seed", ["0", "7"]), ("num_images", ["null", "4"])],
    [("model.recommended.guidance_scale", ["0.0", "5.0"]), ("dtype", ["float32", "float16"])],
    [("negative_prompt", ["null", "''", "'a, b = (c)'"]), ("resolution", ["64", "64x128"])],
    [("lora", ["none", "flat@0.8", "flat@0.8+ink@0.5"])],
    [("scheduler", ["null", "LCMScheduler"]), ("tracking.images", ["sheet", "none"])],
]


@pytest.mark.parametrize("axes", GRIDS, ids=lambda axes: " ".join(key for key, _ in axes))
def test_every_point_equals_a_full_compose(axes: list[tuple[str, list[str]]]) -> None:
    points = expand(*(f"{key}={','.join(values)}" for key, values in axes))
    keys = [key for key, _ in axes]
    wanted = {
        choice: composed([f"{key}={value}" for key, value in zip(keys, choice, strict=True)])
        for choice in itertools.product(*(values for _, values in axes))
    }
    assert len(points) == len(wanted)
    # Order among group choices and plain values is ours; the set of points is Hydra's.
    assert sorted(map(_text, (p.values for p in points))) == sorted(map(_text, wanted.values()))


def _text(values: Any) -> str:
    """With types: 0 is not 0.0 in an identity."""
    return json.dumps(values, sort_keys=True)


def test_axes_of_a_point_are_its_values() -> None:
    for point in expand("num_inference_steps=1,2", "tracking.images=all,none", "seed=3"):
        axes = dict(point.axes)
        assert set(axes) == {"num_inference_steps", "tracking.images"}
        assert point.values["num_inference_steps"] == axes["num_inference_steps"]
        assert point.values["tracking"]["images"] == axes["tracking.images"]
        assert point.values["seed"] == 3


def test_range_and_choice_are_lists() -> None:
    assert [p.values["seed"] for p in expand("seed=range(0,6,2)")] == [0, 2, 4]
    assert [p.values["seed"] for p in expand("seed=choice(5,1)")] == [5, 1]


def test_glob_takes_the_names_of_a_group() -> None:
    points = expand("model=glob(nano-*,exclude=*-lcm)")
    assert [point.values["model"]["name"] for point in points] == ["nano-sdxl", "nano-turbo"]


def test_points_do_not_share_what_another_point_changes() -> None:
    one, two = expand("tracking.images=all,none")
    assert (one.values["tracking"]["images"], two.values["tracking"]["images"]) == ("all", "none")


PRESETS = {
    "steps": 4,
    "guidance": 4,
    "resolution": 4,
    "batch": 7,
    "lora-grid": 6,
    "full": 48,
    "default": 6,
    "single": 1,
}


@pytest.mark.parametrize("name", PRESETS)
def test_presets_under_conf(name: str) -> None:
    assert len(expand(f"sweep={name}")) == PRESETS[name]


def test_every_preset_is_tested() -> None:
    assert {path.stem for path in (conf_dir() / "sweep").glob("*.yaml")} == set(PRESETS)


def test_command_line_wins_over_a_preset() -> None:
    points = expand("sweep=steps", "num_inference_steps=7")
    assert [p.values["num_inference_steps"] for p in points] == [7]


def test_multirun_flag_is_taken_and_changes_nothing() -> None:
    assert expand("-m", "seed=1,2") == expand("seed=1,2")


def test_cfg_job_prints_the_composed_config(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert config.compose("sweep", ["--cfg", "job", "seed=5"]) == []
    assert "seed: 5" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_hydras_own_help_does_not_end_the_process(capsys: pytest.CaptureFixture[str]) -> None:
    assert config.compose("sweep", ["--hydra-help"]) == []
    assert "hydra/launcher" in capsys.readouterr().out


def test_the_command_line_of_the_process_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["pytest", "one word"])
    expand("seed=1,2")
    with pytest.raises(InputError):
        expand("model=nano-turb")
    assert sys.argv == ["pytest", "one word"]


def test_a_grid_shows_no_configuration_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "--cfg", "job", "num_inference_steps=1,2"]) == 2
    assert "shows one configuration" in capsys.readouterr().err
    assert main(["plan", "-m", "--cfg", "job", "num_inference_steps=1"]) == 0
