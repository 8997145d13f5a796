"""Cases as they are resolved and run."""

from __future__ import annotations

import pytest
import torch

from tests.golden_cases import Loaded
from turbo_lab.errors import InputError
from turbo_lab.golden.library import GoldenLibrary
from turbo_lab.golden.run_case import CaseRunner, resolve_case, stage_value


def test_a_case_is_one_batch_of_one_cell() -> None:
    case = resolve_case("one", ["prompt='a key'", "seed=3"])
    assert (case.batch.layout.prompts, case.batch.layout.seeds) == (("a key",), (3,))
    with pytest.raises(InputError, match="golden two: must be one batch of one cell, not 2 batch"):
        resolve_case("two", ["prompts=scenes-demo", "num_images=4", "batch_size=2"])
    with pytest.raises(InputError, match="golden shared: share=batched .* set share=exact"):
        resolve_case("shared", ["share=batched"])


def test_a_case_with_a_password_is_refused() -> None:
    with pytest.raises(InputError, match="golden x: its settings contain a password or a key"):
        resolve_case("x", ["num_images=1", "tracking.uri=http://me:s3cret@host"])


def test_a_case_is_drawn_with_its_own_threads(library: GoldenLibrary) -> None:
    base = library.cases()["two-steps"][:-1]
    cases = [resolve_case(str(n), (*base, f"num_threads={n}")) for n in (1, 2)]
    runner = CaseRunner(cases)
    threads = []

    def observe(stage: str, tensor: torch.Tensor) -> torch.Tensor:
        threads.append((stage, torch.get_num_threads()))
        return tensor

    for case in cases:
        runner.run(case, observe)
    assert [n for stage, n in threads if stage == "vae"] == [1, 2]


def test_a_substituted_stage_reaches_the_pixels(loaded: Loaded, runner: CaseRunner) -> None:
    def zero(stage: str, tensor: torch.Tensor) -> torch.Tensor:
        return tensor * 0 if stage == "latents.1" else tensor

    case, golden, _ = loaded[0]
    seen = runner.run(case, zero)
    equal = {
        mark.stage for mark, known in zip(seen.marks, golden.stages, strict=True) if mark == known
    }
    assert {"noise", "unet.0", "latents.1"} <= equal and not {"vae", "pixels"} & equal


def test_narrow_floats_become_float32_and_other_tensors_stay() -> None:
    value = stage_value("unet.0", torch.ones(2, dtype=torch.bfloat16))
    assert (value.dtype, value.values.dtype) == ("bfloat16", "float32")
    assert stage_value("tokens", torch.ones(2, dtype=torch.int64)).values.dtype == "int64"
    assert stage_value("sums", torch.ones(2, dtype=torch.float64)).values.dtype == "float64"
