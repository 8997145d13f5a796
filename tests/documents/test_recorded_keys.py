"""Keys that draw a cell again: as a person would write them, and read back as they were."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest

from tests.report.results import cell_result
from turbo_lab import config
from turbo_lab.documents.recorded_keys import drawing_words, hydra_text, recorded_keys
from turbo_lab.documents.sweep import CellResult
from turbo_lab.request.pipeline import PipelineKeys
from turbo_lab.store.provenance import WeightsOrigin


def cell(**parameters: object) -> CellResult:
    return cell_result(0, parameters, None)


def test_only_what_differs_from_the_defaults_is_written() -> None:
    words = drawing_words(cell(num_inference_steps=2, guidance_scale=1.5))
    assert "num_inference_steps=2" in words and "guidance_scale=1.5" in words
    assert not any(word.split("=")[0] in ("seed", "prompts", "dtype", "lora") for word in words)
    assert not any(word.startswith("compile") for word in words)
    fast = cell(pipeline_keys=PipelineKeys(compile="default"), lora="ink@0.8")
    assert {"compile=default", "lora=ink@0.8"} <= set(drawing_words(fast))


@pytest.mark.parametrize(
    "text", ["blurry, low quality", "a=b", "it's (bad)", "${x}", "ends with \\", "ü", "[1, 2]"]
)
def test_any_negative_prompt_is_read_back_as_it_was(text: str) -> None:
    words = shlex.split(" ".join(drawing_words(cell(negative_prompt=text))))
    (word,) = [one for one in words if one.startswith("negative_prompt=")]
    (point,) = config.compose("plan", [word, "model=nano-sdxl"])
    assert point.values["negative_prompt"] == text


@pytest.mark.parametrize(
    ("value", "text"), [(True, "true"), (2, "2"), (2.0, "2"), (0.1, "0.1"), ("64x64", "64x64")]
)
def test_plain_values_need_no_quotes(value: object, text: str) -> None:
    assert hydra_text(value) == text


def test_own_weights_are_named_by_their_path() -> None:
    own = cell()
    origin = WeightsOrigin("d" * 64, None, "unknown", "files", "/models/mine", base="sdxl-base")
    models = {"mine": origin}
    own = replace(
        own,
        parameters=replace(own.parameters, model="mine"),
        provenance=replace(own.provenance, models=models),
    )
    keys = recorded_keys(own)
    assert keys["model"] == "local" and keys["model.path"] == "/models/mine"
    assert keys["model.base"] == "sdxl-base" and "model.variant" not in keys


def test_a_single_prompt_is_named_by_its_text() -> None:
    assert recorded_keys(cell())["prompts"] == "demo"
