"""A store read from Python."""

from __future__ import annotations

from pathlib import Path

import pytest

from turbo_lab.api.store import ResultStore, open_store
from turbo_lab.documents.document import to_document
from turbo_lab.errors import InputError
from turbo_lab.workflows.results import sweep_result
from turbo_lab.workflows.sweep import Executed


@pytest.fixture
def store(executed_copy: Executed) -> ResultStore:
    result = sweep_result(executed_copy)
    files = executed_copy.store.sweep_files(result.sweep_id)
    executed_copy.store.write_document(files.document, to_document("sweep", result))
    return open_store(str(executed_copy.store.root))


def test_sweeps_are_found_by_the_beginning_of_their_id(store: ResultStore) -> None:
    (sweep,) = store.sweeps
    assert store.sweep(sweep.sweep_id[:4]) == sweep and len(sweep.cells) == 2
    assert all(image.path.is_relative_to(store.path) for image in sweep.cells[0].images)
    assert sweep.sweep_id in store._repr_html_() and "guidance_scale, lora" in store._repr_html_()
    with pytest.raises(InputError, match=f"sweep=nothing: unknown. Valid: {sweep.sweep_id}"):
        store.sweep("nothing")
    with pytest.raises(InputError, match="sweep=: unknown"):
        store.sweep("")


def test_records_lead_to_measurements_timings_and_images(store: ResultStore) -> None:
    done = next(record for record in store.records if record.error is None)
    (measured,) = store.measurements(done)
    assert measured.name == "clip_score" and measured.per_image is not None
    (timing,) = store.timings(done)
    assert len(timing.samples_s) == timing.latency_s.n
    assert [image.info["seed"] for image in store.images(done)] == [0, 1]
    assert len(store.images()) == 2


def test_frames_begin_with_what_differs(store: ResultStore) -> None:
    cells = store.to_pandas()
    assert cells.columns[0] == "lora" and set(cells["status"]) == {"done", "failed"}
    assert "clip_score" in cells and set(cells["model"]) == {"tiny-sdxl"}
    assert list(store.to_pandas("measurements")["metric"]) == ["clip_score"]
    assert len(store.to_pandas("timings")) == 1 and len(store.to_pandas("images")) == 2


def test_a_folder_that_is_no_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a turbo-lab store; set store=DIRECTORY"):
        open_store(tmp_path)
    assert list(tmp_path.iterdir()) == []
