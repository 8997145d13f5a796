"""Data frames of a sweep that has a timed, scored cell and a failed one."""

from __future__ import annotations

import pytest

from turbo_lab.api.frames import FrameRows, frame_of
from turbo_lab.errors import InputError
from turbo_lab.metrics.skills import with_skills
from turbo_lab.store.record import Measurement
from turbo_lab.verdict import Direction
from turbo_lab.workflows.results import sweep_result
from turbo_lab.workflows.sweep import Executed

PER_IMAGE = Measurement(
    "clip_score", 0.2, "cosine", 2, Direction.HIGHER, "f" * 64, None, per_image=(0.1, 0.3)
)


@pytest.fixture
def rows(executed: Executed) -> FrameRows:
    return FrameRows.of(sweep_result(executed).cells)


def test_cells_have_axes_metrics_and_settings(rows: FrameRows) -> None:
    frame = rows.to_pandas()
    assert list(frame.columns[:4]) == ["guidance_scale", "lora", "cell_id", "record_id"]
    assert list(frame["status"]) == ["done", "failed"]
    done, failed = (row for _, row in frame.iterrows())
    cell = rows.cells[0]
    assert cell.latency_s is not None
    assert done["clip_score"] == cell.metrics["clip_score"].value
    assert done["latency_p50_s"] == cell.latency_s.p50 and done["model"] == "tiny-sdxl"
    assert failed.isna()["clip_score"] and failed["error"] == rows.cells[1].error
    assert frame.columns.is_unique


def test_images_have_prompt_seed_and_file(rows: FrameRows) -> None:
    frame = rows.to_pandas("images")
    stored = rows.cells[0].images
    assert list(frame["seed"]) == [image.seed for image in stored]
    assert list(frame["path"]) == [str(image.path) for image in stored]
    assert set(frame["lora"]) == {"none"}


def test_measurements_and_timings_have_their_interval(rows: FrameRows) -> None:
    cell = rows.cells[0]
    assert cell.latency_s is not None and cell.timing is not None
    metric = cell.metrics["clip_score"]
    (measured,) = rows.to_pandas("measurements").to_dict("records")
    assert (measured["metric"], measured["value"]) == ("clip_score", metric.value)
    assert (measured["unit"], measured["n"]) == (metric.unit, metric.n)
    assert measured["fingerprint"] == metric.fingerprint and "ci95_low" in measured
    (timed,) = rows.to_pandas("timings").to_dict("records")
    assert timed["p50_s"] == cell.latency_s.p50 and timed["n"] == cell.latency_s.n
    stages = [timed[f"{stage}_s"] for stage in ("text", "unet", "vae", "post", "other")]
    assert sum(stages) == pytest.approx(timed["mean_s"])


def test_measurements_are_split_by_skill(rows: FrameRows) -> None:
    split = with_skills(rows.cells[0], [PER_IMAGE], ["count", "colour"])
    frame = FrameRows.of([split]).to_pandas("measurements")
    assert list(frame["skill"].fillna("all")) == ["all", "count", "colour"]
    assert list(frame["value"][1:]) == [0.1, 0.3] and list(frame["n"][1:]) == [1, 1]
    assert list(frame.columns[:5]) == [
        "guidance_scale",
        "lora",
        "cell_id",
        "record_id",
        "skill",
    ]
    assert "skill" not in rows.to_pandas("measurements")


def test_an_unknown_kind_names_the_valid_ones(rows: FrameRows) -> None:
    with pytest.raises(InputError, match="kind=cell: unknown. Did you mean cells\\? Valid: cells"):
        rows.to_pandas("cell")  # type: ignore[arg-type]


def test_a_frame_without_rows_has_its_columns() -> None:
    assert list(frame_of([], ["a", "b"]).columns) == ["a", "b"]
    assert list(FrameRows([], [], []).to_pandas("images").columns[:2]) == ["cell_id", "record_id"]
