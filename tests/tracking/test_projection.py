"""Tags, parameters and metrics of runs, without MLflow."""

from __future__ import annotations

from dataclasses import replace

from tests.recipes import PARAMETERS, record
from tests.report.results import ENERGY, TIMING, cell_result, metric_value, sweep_result
from turbo_lab.environment import Fingerprint, GitState
from turbo_lab.identity import digest
from turbo_lab.tracking.facts import CellFacts
from turbo_lab.tracking.names import safe_key
from turbo_lab.tracking.projection import (
    SweepHead,
    cell_metrics,
    cell_parameters,
    cell_tags,
    content_digest,
    duration_s,
    late_tags,
    run_name,
    span,
    sweep_late_tags,
    sweep_parameters,
)
from turbo_lab.verdict import Direction

FACTS = CellFacts(
    record=record(
        fingerprint=Fingerprint(
            {"torch": "2.15.0", "diffusers": "0.42.1", "num_threads": 2, "device_class": "cpu x86"},
            {"python": "3.11.9", "cpu_name": "A CPU"},
        )
    ),
    content=b"",
    written_by="0.1.0",
    per_image={},
)


def test_intervals_are_tags_because_each_metric_is_a_chart() -> None:
    found = metric_value(1.0, Direction.LOWER, (0.5, 1.5))
    untimed = {"latency_s": None, "throughput_images_per_s": None, "timing": None}
    cell = replace(cell_result(0, {}, None), metrics={"fd/a (b)": found}, **untimed)
    assert cell_metrics(cell) == {safe_key("fd/a (b)"): 1.0}
    late = late_tags(cell, FACTS)
    assert late[safe_key("turbo_lab.ci95.fd/a (b)")] == "0.5 to 1.5"
    assert late["turbo_lab.exactness"] == "exact"


def test_a_run_shows_memory_and_stages_of_its_cell() -> None:
    assert cell_result(0, {}, None).timing is not None
    timing = replace(TIMING, peak_memory_bytes=3 << 20, stages_s={"unet": 0.25, "vae": 0.5})
    found = cell_metrics(replace(cell_result(0, {}, None), timing=timing))
    assert (found["peak_memory_mib"], found["first_call_s"]) == (3, 1)
    assert (found["stage_unet_s"], found["stage_vae_s"]) == (0.25, 0.5)
    assert cell_metrics(cell_result(0, {}, None, "out of memory")) == {}


def test_environment_is_in_tags_and_the_scheduler_is_the_one_that_ran() -> None:
    cell = cell_result(0, {"num_inference_steps": 2}, None)
    assert cell.parameters.scheduler is None
    assert cell_parameters(cell, FACTS)["scheduler"] == "EulerDiscreteScheduler"
    found = late_tags(cell, FACTS)
    assert (found["torch"], found["diffusers"], found["num_threads"]) == ("2.15.0", "0.42.1", "2")
    assert (found["device"], found["python"], found["turbo_lab"]) == ("A CPU", "3.11.9", "0.1.0")


def test_parameters_are_few_because_the_page_writes_them_over_the_images() -> None:
    usual = replace(PARAMETERS, batch_size=16, pipeline="stock")
    cell = replace(cell_result(0, {"num_inference_steps": 1}, None), parameters=usual)
    main = {"model", "num_inference_steps", "guidance_scale", "resolution", "scheduler"}
    assert set(cell_parameters(cell, FACTS)) == main
    found = late_tags(cell, FACTS)
    assert (found["turbo_lab.lora"], found["turbo_lab.prompts"]) == ("none", "demo")
    assert "turbo_lab.compile" not in found and "turbo_lab.model" not in found
    keys = replace(usual.pipeline_keys, compile="default")
    unusual = replace(usual, dtype="bfloat16", negative_prompt="blurry", pipeline_keys=keys)
    other = replace(cell, parameters=unusual, axes={"seed": 0})
    assert set(cell_parameters(other, FACTS)) == main | {
        "dtype",
        "negative_prompt",
        "compile",
        "seed",
    }
    assert "turbo_lab.dtype" not in late_tags(other, FACTS)


def test_source_user_and_commit_have_the_names_that_mlflow_knows() -> None:
    from mlflow.utils import mlflow_tags

    cell = cell_result(0, {}, None)
    made_from = replace(cell.provenance, git=GitState("c" * 40, dirty=True))
    found = cell_tags(SweepHead("abc", "/store", ("m",)), replace(cell, provenance=made_from))
    assert found[mlflow_tags.MLFLOW_SOURCE_NAME] == "turbo-lab sweep"
    assert found[mlflow_tags.MLFLOW_SOURCE_TYPE] == "LOCAL"
    assert found[mlflow_tags.MLFLOW_GIT_COMMIT] == "c" * 40
    assert found[mlflow_tags.MLFLOW_GIT_DIRTY] == "true"
    assert found[mlflow_tags.MLFLOW_USER]


def test_a_sweep_has_all_values_of_an_axis_and_the_settings_that_cells_share() -> None:
    sweep = sweep_result(None)
    aliased = replace(sweep.cells[0], aliases=({"num_inference_steps": 1, "guidance_scale": 1},))
    found = sweep_parameters(replace(sweep, cells=(aliased, *sweep.cells[1:])), FACTS)
    assert (found["num_inference_steps"], found["guidance_scale"]) == ("1, 2", "0, 1, 2")
    assert (found["model"], found["batch_size"]) == ("nano-turbo", 4)
    assert found["scheduler"] == "EulerDiscreteScheduler" and "prompts" not in found
    assert sweep_late_tags(sweep, FACTS)["torch"] == "2.15.0"


def test_a_run_takes_as_long_as_its_cells() -> None:
    cell = replace(cell_result(0, {}, None), drawn_at=1000.5, drawn_s=2.0)
    timed = replace(cell, timing=replace(TIMING, timed_s=3.0))
    later = replace(timed, drawn_at=90_000.0)  # the sweep was resumed a day later
    assert duration_s(cell) == 2 and duration_s(timed) == 5
    assert span([cell]) == (1_000_500, 1_002_500)
    assert span([later, timed]) == (1_000_500, 1_010_500)
    assert span([replace(cell, drawn_at=None)]) == span([]) == (None, None)


def test_a_cell_that_varies_nothing_is_named_by_its_settings() -> None:
    assert (
        run_name(cell_result(0, {}, None))
        == "1 step, cfg 0, nano-turbo"[:16]
        + "… "
        + digest({"num_inference_steps": "1", "guidance_scale": "0.0", "model": "nano-turbo"})[:6]
    )
    assert run_name(cell_result(0, {"num_inference_steps": 4}, None)) == "4 steps"


def test_energy_is_a_metric_and_news_only_where_it_was_measured() -> None:
    sweep = sweep_result(None)
    first, *others = sweep.cells
    assert first.timing is not None
    metered = replace(first, timing=replace(first.timing, energy=ENERGY))
    found = cell_metrics(metered)
    assert found["joules_per_image"] == 12.3
    assert late_tags(metered, FACTS)["turbo_lab.ci95.joules_per_image"] == "11.9 to 12.8"
    assert not any(name.startswith("joules") for name in cell_metrics(first))
    assert content_digest(sweep) != content_digest(replace(sweep, cells=(metered, *others)))
