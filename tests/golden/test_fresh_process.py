"""Stages that come back from another process."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from turbo_lab.cards import with_own_groups
from turbo_lab.errors import JudgementError
from turbo_lab.golden.fresh_process import read_stages, stages_in_fresh_process, write_stages
from turbo_lab.golden.stages import StageValue


def test_stages_are_read_back_in_order_and_to_the_bit(tmp_path: Path) -> None:
    draws = np.random.default_rng(0)
    drawn = {
        name: (
            StageValue("unet.0", "bfloat16", draws.standard_normal((2, 3)).astype(np.float32)),
            StageValue("pixels", "uint8", draws.integers(0, 256, (1, 4, 4, 3), dtype=np.uint8)),
        )
        for name in ("one", "two words")
    }
    write_stages(tmp_path / "stages.safetensors", drawn)
    found = read_stages(tmp_path / "stages.safetensors")
    assert list(found) == list(drawn)
    for name, stages in drawn.items():
        assert [(v.stage, v.dtype) for v in found[name]] == [(v.stage, v.dtype) for v in stages]
        for here, there in zip(found[name], stages, strict=True):
            np.testing.assert_array_equal(here.values, there.values)


@pytest.mark.slow
def test_a_process_that_fails_says_why() -> None:
    with pytest.raises(
        JudgementError, match=r"could not draw one in a fresh process: .*must be one batch"
    ):
        stages_in_fresh_process({"one": ["seed=1,2"]})


@pytest.mark.slow
def test_the_process_reads_the_users_own_groups(tmp_path: Path) -> None:
    (tmp_path / "prompts").mkdir()
    text = f"defaults: [file]\nname: ours\npath: {tmp_path}/prompts.txt\n"
    (tmp_path / "prompts" / "ours.yaml").write_text(text)
    (tmp_path / "prompts.txt").write_text("a house\n")
    with with_own_groups(tmp_path):
        found = stages_in_fresh_process({"one": ["prompts=ours", "num_threads=1"]})
    assert found["one"][-1].values.shape[0] == 1
