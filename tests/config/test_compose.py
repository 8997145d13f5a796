"""The grid that is expanded in plain dicts is the one that Hydra would compose, point by point."""

from __future__ import annotations

import itertools
import json
import logging
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import hydra
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.version import VersionBase
from omegaconf import DictConfig, OmegaConf

from turbo_lab import config
from turbo_lab.api.words import key_words
from turbo_lab.cards import conf_dir, model_card, with_own_groups
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


def state_of_process() -> tuple[object, ...]:
    """Everything of Hydra, and what ``hydra.main`` changes in a process."""
    return (
        GlobalHydra.instance().hydra,
        HydraConfig.instance().cfg,
        VersionBase.instance().version_base,
        list(logging.getLogger().handlers),
        dict(os.environ),
        list(sys.argv),
        [OmegaConf.has_resolver(name) for name in ("now", "hydra", "python_version")],
    )


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of configs of a user's own Hydra program, whose command line is ours."""
    (tmp_path / "mine.yaml").write_text("steps: [1, 2]\n")
    quiet = ["hydra.output_subdir=null", f"hydra.run.dir={tmp_path}", "hydra/job_logging=none"]
    monkeypatch.setattr("sys.argv", ["mine.py", *quiet])
    before = VersionBase.instance().version_base
    yield tmp_path
    VersionBase.instance().version_base = before


@pytest.mark.parametrize("version_base", ["1.2", None])
def test_a_program_of_hydra_keeps_its_state(program: Path, version_base: str | None) -> None:
    found: list[object] = []

    @hydra.main(version_base=version_base, config_path=str(program), config_name="mine")
    def main(cfg: DictConfig) -> None:
        before = state_of_process()
        words = key_words({"num_inference_steps": cfg.steps, "sweep": "guidance"})
        points = config.compose("sweep", words)
        with pytest.raises(InputError, match="^model=nano-turb: unknown"):
            config.compose("sweep", ["model=nano-turb"])
        with pytest.raises(InputError, match="^model key=nothing: "):
            config.compose("sweep", ["model.nothing=1"])
        found.extend((before, state_of_process(), points, expand("seed=1,2")))

    main()
    before, after, points, more = found
    assert before == after and GlobalHydra.instance().hydra is None
    assert {dict(point.axes)["num_inference_steps"] for point in points} == {1, 2}  # type: ignore[attr-defined]
    assert more == expand("seed=1,2")


def test_own_groups_are_composed_as_hydra_would(tmp_path: Path) -> None:
    for group, name in (("model", "mine"), ("gate", "strict")):
        (tmp_path / group).mkdir()
        (tmp_path / group / f"{name}.yaml").write_text(f"defaults: [none]\nname: {name}\n")
    (tmp_path / "model/mine.yaml").write_text("defaults: [local]\nname: mine\npath: x\n")
    with with_own_groups(tmp_path):
        mine, nano = expand("model=mine,nano-turbo", "gate=strict")
        assert expand("model=glob(mi*)")[0].values["model"] == mine.values["model"]
        assert model_card("mine").path == mine.group("model")["path"] == "x"
        assert mine.group("gate")["name"] == nano.group("gate")["name"] == "strict"
    with pytest.raises(InputError, match="^model=mine: unknown"):
        expand("model=mine")


def test_cfg_job_prints_own_groups(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/mine.yaml").write_text("defaults: [local]\nname: mine\npath: x\n")
    with with_own_groups(tmp_path):
        assert config.compose("sweep", ["--cfg", "job", "model=mine"]) == []
    assert "name: mine" in capsys.readouterr().out


def test_threads_compose_at_once() -> None:
    words = [[f"seed={first},{first + 1}", "model=nano-turbo,nano-lcm"] for first in range(8)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda one: expand(*one), words))
    assert found == [expand(*one) for one in words]


def test_an_error_has_no_traceback_of_hydra() -> None:
    with pytest.raises(InputError) as refused:
        expand("model.nothing=1")
    assert refused.value.__suppress_context__ and refused.value.__cause__ is None


def test_a_grid_shows_no_configuration_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "--cfg", "job", "num_inference_steps=1,2"]) == 2
    assert "shows one configuration" in capsys.readouterr().err
    assert main(["plan", "-m", "--cfg", "job", "num_inference_steps=1"]) == 0
