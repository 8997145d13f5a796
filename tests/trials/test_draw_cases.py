"""The process that draws cases and writes their stages to a file."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.golden_cases import Loaded
from turbo_lab.errors import InputError
from turbo_lab.golden.fresh_process import read_stages
from turbo_lab.golden.run_case import CaseRunner
from turbo_lab.trials.draw_cases import main

ONE = {
    "one": [
        "prompt='a key on a blue background'",
        "num_inference_steps=2",
        "seed=3",
        "num_threads=1",
    ]
}


def ask(monkeypatch: pytest.MonkeyPatch, file: Path, cases: object) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(cases)))
    monkeypatch.setattr(sys, "argv", ["draw_cases", str(file)])


def test_every_stage_of_a_case_is_written_as_a_runner_draws_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loaded: Loaded, runner: CaseRunner
) -> None:
    ask(monkeypatch, tmp_path / "stages.safetensors", ONE)
    main()
    found = read_stages(tmp_path / "stages.safetensors")
    same = next(one.case for one in loaded if one.case.name == "two-steps")
    wanted = runner.run(same).stages
    assert list(found) == ["one"]
    assert [one.stage for one in found["one"]] == [one.stage for one in wanted]
    assert {"noise", "unet.1", "pixels"} <= {one.stage for one in wanted}
    for here, there in zip(found["one"], wanted, strict=True):
        np.testing.assert_array_equal(here.values, there.values)


def test_a_case_of_several_batches_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(monkeypatch, tmp_path / "stages.safetensors", {"one": ["seed=1,2"]})
    with pytest.raises(InputError, match="one: .*must be one batch"):
        main()
    assert not list(tmp_path.iterdir())
