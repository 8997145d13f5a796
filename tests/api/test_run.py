"""``sweep``, ``compare`` and ``gate`` as a researcher calls them."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from tests.small_sweeps import SMALL, misfit
from turbo_lab import api
from turbo_lab.errors import InputError, TurboLabError, TurboLabWarning
from turbo_lab.verdict import Verdict

DRAWN = {"num_images": 2, "batch_size": 2, "num_threads": 1, "metrics": "none", "timing": "off"}


def small(model: Path, store: Path) -> dict[str, object]:
    numbers = {key: int(value) for key, value in SMALL.items() if value.isdecimal()}
    return {**SMALL, **numbers, "model.path": model, "store": store}


def test_a_sweep_prints_nothing(
    tiny_sdxl_dir: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    keys = small(tiny_sdxl_dir, tmp_path / "store") | {"guidance_scale": [0, 2]}
    with warnings.catch_warnings():
        warnings.simplefilter("error", TurboLabWarning)
        first = api.sweep(**keys)
    assert capfd.readouterr().out == ""
    assert [cell.axes for cell in first.cells] == [{"guidance_scale": 0}, {"guidance_scale": 2}]
    assert (first.counts.done, len(first.images())) == (2, 4)
    again = api.sweep("seed=0", **keys)
    assert (again.sweep_id, again.counts.reused) == (first.sweep_id, 2)
    assert api.open_store(tmp_path / "store").sweep(first.sweep_id).cells == again.cells


def test_a_cell_that_fails_is_a_warning_and_no_error(
    tiny_sdxl_dir: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    keys = small(tiny_sdxl_dir, tmp_path / "store") | {"lora": ["none", str(misfit(tmp_path))]}
    with pytest.warns(TurboLabWarning, match="failed: .* is for another architecture") as caught:
        found = api.sweep(**keys)
    assert [cell.is_failed for cell in found.cells] == [False, True]
    ours = [one for one in caught if one.category is TurboLabWarning]
    assert {Path(one.filename).name for one in ours} == {"test_run.py"}
    assert "another architecture" not in capfd.readouterr().err
    with warnings.catch_warnings():
        warnings.simplefilter("error", TurboLabWarning)
        api.sweep(**keys, progress=True)
    assert "failed: lora=" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"num_inference_step": 1}, "key=num_inference_step: unknown"),
        ({"num_inference_steps": 0}, "num_inference_steps=0: must be an integer from 1 to 1000"),
        ({"model": "nano-turb"}, "model=nano-turb: unknown. Did you mean nano-turbo?"),
        ({"seed": "1-4"}, "seed=1-4: must be an integer"),
    ],
)
def test_errors_are_those_of_the_command(keys: dict[str, object], message: str) -> None:
    with pytest.raises(TurboLabError) as refused:
        api.sweep(**keys)
    assert str(refused.value).startswith(message)


def test_a_gate_returns_its_verdict(tmp_path: Path) -> None:
    policy = {"gate": "release", "gate.goldens": "none", "gate.quality": None}
    keys = {**DRAWN, **policy, "store": tmp_path, "model": "nano-turbo"}
    found = api.gate(**keys)
    assert (found.passed, [check.name for check in found.checks]) == (True, ["licenses"])
    refused = api.gate(**keys, **{"gate.licenses": ["MIT"]}, candidate={"seed": 7}, fresh=True)
    assert refused.verdict == Verdict.REGRESSION
    assert refused.document.candidate[-1] == "seed=7" and refused.document.from_store == 0


def test_sides_are_checked_as_on_the_command_line() -> None:
    with pytest.raises(InputError, match="^compare: name the baselines"):
        api.compare(model="nano-turbo")
    with pytest.raises(InputError, match="^compare: nano-turbo 1 step seed=1 draws other prompts"):
        api.compare(candidate={"seed": [1, 2]})
    with pytest.raises(InputError, match="^compare: the baseline is a grid of 2 cells"):
        api.compare(baseline={"dtype": ["float32", "bfloat16"]})
    with pytest.raises(InputError, match="^candidate.gate: the policy judges both sides"):
        api.gate(candidate={"gate": "release"})


def test_own_groups_are_those_of_one_call(tiny_sdxl_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    text = f"defaults: [local]\nname: mine\npath: {tiny_sdxl_dir}\n"
    (tmp_path / "model" / "mine.yaml").write_text(text)
    keys = small(tiny_sdxl_dir, tmp_path / "store") | {"model": "mine"}
    del keys["model.path"]
    found = api.sweep(**keys, config_dir=tmp_path)
    assert (found.counts.done, found.cells[0].parameters.model) == (1, "mine")
    for call in (api.sweep, api.gate):
        with pytest.raises(InputError, match="^model=mine: unknown"):
            call(**keys)
        with pytest.raises(InputError, match="^config_dir=nowhere: does not exist"):
            call(**keys, config_dir="nowhere")
    with pytest.raises(InputError, match="^config_dir=nowhere: does not exist"):
        api.compare(**keys, candidate={"seed": 1}, config_dir="nowhere")


@pytest.mark.slow
def test_two_variants_are_compared(tmp_path: Path) -> None:
    keys = {"prompts": "scenes-demo", "num_images": 8, "batch_size": 8, "num_threads": 1}
    found = api.compare(**keys, store=tmp_path, candidate={"dtype": "bfloat16"}, published=True)
    assert found.candidate == "nano-turbo 1 step dtype=bfloat16"
    assert len(found.to_pandas()) == len(found.rows) > 0
    assert found.document.published is not None
    assert set(found.contenders_to_pandas()["contender"]) == {c.label for c in found.contenders}
