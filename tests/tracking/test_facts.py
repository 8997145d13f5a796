"""Facts about a cell that are read from the store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.report.results import STORE_FINGERPRINT, store_with_sweeps, sweep_result
from turbo_lab.environment import Fingerprint
from turbo_lab.errors import StoreError
from turbo_lab.tracking.facts import CellFacts, device_name


def test_facts_come_from_the_record_and_the_measurements(tmp_path: Path) -> None:
    store = store_with_sweeps(tmp_path / "store", "abc")
    first, second, *_ = sweep_result(tmp_path).cells
    facts = CellFacts.of(first, store.root)
    assert facts.per_image == {"clip_score": (0.5,) * 4}, "of the fingerprint that the cell names"
    assert CellFacts.of(second, store.root).per_image == {}
    assert facts.scheduler == "EulerDiscreteScheduler"
    assert facts.environment["torch"] == STORE_FINGERPRINT.keys["torch"]
    assert facts.content == first.record.read_bytes()
    fewer = replace(first, images=first.images[:2])
    assert CellFacts.of(fewer, store.root).per_image == {}, "values of other images"


def test_a_pipeline_is_its_recipe_its_batch_size_and_its_environment(tmp_path: Path) -> None:
    facts = [CellFacts.of(cell, tmp_path) for cell in sweep_result(tmp_path).cells]
    assert len({one.pipeline_digest for one in facts}) == 4
    first = facts[0]
    record = first.record
    other = replace(record, fingerprint=Fingerprint({"torch": "2.16.0"}, {}))
    assert replace(first, record=other).pipeline_digest != first.pipeline_digest
    seeds = replace(record, parameters=replace(record.parameters, seed=9, num_images=64))
    assert replace(first, record=seeds).pipeline_digest == first.pipeline_digest
    batches = replace(record, parameters=replace(record.parameters, batch_size=1))
    assert replace(first, record=batches).pipeline_digest != first.pipeline_digest


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"kind": "record", "recipe": 3}'])
def test_a_damaged_record_is_one_clear_line(tmp_path: Path, content: str) -> None:
    cell = sweep_result(tmp_path).cells[0]
    cell.record.write_text(content)
    with pytest.raises(StoreError, match=r"record-0\.json: "):
        CellFacts.of(cell, tmp_path)


def test_a_device_is_named_for_people() -> None:
    cpu = {"device_class": "cpu x86-64", "device_model": "AuthenticAMD family 25 model 1"}
    assert device_name(Fingerprint(cpu, {"cpu_name": "AMD EPYC"})) == "AMD EPYC"
    assert device_name(Fingerprint(cpu, {})) == "AuthenticAMD family 25 model 1"
    gpu = {"device_class": "cuda sm_90", "device_model": "NVIDIA H100"}
    assert device_name(Fingerprint(gpu, {"cpu_name": "AMD EPYC"})) == "NVIDIA H100"
    assert device_name(Fingerprint({}, {})) == "unknown"
