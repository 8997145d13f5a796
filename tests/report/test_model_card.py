"""The model card of a sweep: a header that the hub reads, licences as recorded, every metric."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import ModelCardData

from tests.report.results import MADE_FROM, sweep_result, with_cell
from turbo_lab.documents.sweep import SweepResult
from turbo_lab.report.model_card import model_card
from turbo_lab.store.provenance import WeightsOrigin

SHEET = "../store/sweeps/abc/sheet.png"


def header(text: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(text.split("---\n")[1])
    return found


def made_with(*licenses: str) -> SweepResult:
    """Return a sweep whose weights have these licences."""
    models = {
        f"m{index}": WeightsOrigin("d" * 64, None, text, "card")
        for index, text in enumerate(licenses)
    }
    sweep = sweep_result(None)
    for index in range(len(sweep.cells)):
        sweep = with_cell(sweep, index, provenance=replace(MADE_FROM, models=models))
    return sweep


def test_the_hub_reads_it() -> None:
    data = ModelCard(model_card(sweep_result(None), {"torch": "2.15.0"}, SHEET)).data
    assert isinstance(data, ModelCardData)
    assert (data.license, data.library_name) == ("apache-2.0", "diffusers")
    assert data.pipeline_tag == "text-to-image" and data.eval_results is not None
    values = {(one.metric_name, one.metric_value) for one in data.eval_results}
    assert ("clip_score (steps 2 · guidance 2)", 0.8) in values and len(values) == 6


def test_what_a_reader_sees() -> None:
    text = model_card(sweep_result(None), {"torch": "2.15.0", "device": "cpu"}, SHEET)
    assert "# nano-turbo\n" in text and "4 cells, 0 images" in text
    assert "| nano-turbo | Apache-2.0 | card.json | - | dddddddddddd |" in text
    assert "| steps | guidance | clip\\_score" in text.replace("clip_score", "clip\\_score")
    assert "±0.1" in text and "| torch | 2.15.0 |" in text and "- out of memory" in text
    assert f"![images of every cell](<{SHEET}>)" in text


def test_without_a_store_there_is_neither_environment_nor_sheet() -> None:
    text = model_card(sweep_result(None), {}, None)
    assert "## Environment" not in text and "## Samples" not in text


@pytest.mark.parametrize(
    ("licenses", "wanted"),
    [
        (["MIT"], {"license": "mit"}),
        (["unknown"], {"license": "unknown"}),
        (["other (sai-nc)"], {"license": "other", "license_name": "other (sai-nc)"}),
        (["MIT", "Apache-2.0"], {"license": "other", "license_name": "Apache-2.0; MIT"}),
        (["a: b\n- c"], {"license": "other", "license_name": "a: b - c"}),
    ],
)
def test_a_licence_is_the_recorded_one(licenses: list[str], wanted: dict[str, str]) -> None:
    found = header(model_card(made_with(*licenses), {}, None))
    assert {key: found[key] for key in ("license", "license_name") if key in found} == wanted


def test_the_repository_of_a_card_is_the_base_model() -> None:
    sweep = sweep_result(None)
    parameters = replace(sweep.cells[0].parameters, model="sdxl-turbo")
    text = model_card(with_cell(sweep, 0, parameters=parameters), {}, None)
    assert header(text)["base_model"] == ["stabilityai/sdxl-turbo"]


def test_text_of_others_stays_text() -> None:
    sweep = sweep_result(None)
    parameters = replace(sweep.cells[0].parameters, model="<img src=x>|\n---\n")
    text = model_card(with_cell(sweep, 0, parameters=parameters), {"torch": "<b>"}, None)
    assert "\n# \\<img src=x\\>\\| ---, nano-turbo\n" in text and "\\<b\\>" in text
    assert header(text)["license"] == "apache-2.0"
