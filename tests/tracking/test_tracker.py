"""The projection into a real MLflow on sqlite: complete, once, and repairable."""

from __future__ import annotations

import math
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.report.results import sweep_result, with_cell, with_metric
from turbo_lab.errors import IncompleteError
from turbo_lab.images import encode_png
from turbo_lab.store.record import CellStatus
from turbo_lab.store.store import Store
from turbo_lab.tracking import EXPERIMENT, Attachments, Tracker, TrackingSettings
from turbo_lab.tracking.pictures import SHOWS_IMAGES, image_key
from turbo_lab.tracking.projection import SweepHead


def settings(folder: Path, images: str = "all") -> TrackingSettings:
    return TrackingSettings.local(folder, images)


@pytest.fixture(scope="module")
def projected(tmp_path_factory: pytest.TempPathFactory):
    """One sweep, projected twice, and the client to look at it."""
    from mlflow.tracking import MlflowClient

    folder = tmp_path_factory.mktemp("mlflow")
    sweep = sweep_result(folder)
    first, second, *others = sweep.cells
    first = with_metric(first, "clip_score", value=math.inf)
    second = replace(second, parameters=replace(second.parameters, negative_prompt="x" * 7000))
    sweep = replace(sweep, cells=(first, second, *others))
    sheet = folder / "sheet.png"
    sheet.write_bytes(encode_png(np.zeros((8, 8, 3), np.uint8), {}))
    ids = Tracker(settings(folder)).project(sweep, Attachments(sheet))
    assert Tracker(settings(folder)).project(sweep, Attachments(sheet)) == ids
    return sweep, ids, MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")


def test_replay_adds_neither_runs_nor_history(projected) -> None:
    _, ids, client = projected
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    assert len(client.search_runs([experiment])) == 5
    history = client.get_metric_history(ids["a1"], "clip_score")
    assert [point.value for point in history] == [pytest.approx(0.6)]


def test_child_has_parameters_figures_images_and_parent(projected) -> None:
    _, ids, client = projected
    run = client.get_run(ids["a1"])
    parent = client.get_run(run.data.tags["mlflow.parentRunId"])
    assert parent.data.tags["turbo_lab.cells_failed"] == "1" and parent.data.metrics == {}
    assert parent.data.params["num_inference_steps"] == "1, 2"
    assert run.data.params["num_inference_steps"] == "1"
    assert run.data.params["guidance_scale"] == "2"
    assert run.data.metrics["fd/nano-clip"] == 8
    assert run.data.metrics["latency_p50_s"] == pytest.approx(0.2)
    assert run.data.tags["turbo_lab.license.nano-turbo"] == "Apache-2.0"
    assert [entry.dataset.name for entry in run.inputs.dataset_inputs] == ["demo x4"]
    names = [Path(f.path).name for f in client.list_artifacts(ids["a1"], "images")]
    assert sorted(name.rpartition(".")[2] for name in names) == ["png"] * 4 + ["webp"] * 4
    keys = {name.split("+step+0+timestamp+0+")[0] for name in names}
    assert keys == {image_key(f"p <{row}>") for row in range(4)}
    assert run.data.tags[SHOWS_IMAGES] == parent.data.tags[SHOWS_IMAGES] == "True"
    assert run.data.tags["turbo_lab.models.nano-turbo"] == "d" * 64
    assert run.data.tags["turbo_lab.prompt_sets.demo"] == "e" * 64
    assert {f.path for f in client.list_artifacts(parent.info.run_id)} == {"images", "sheet.png"}
    shown = [Path(f.path).name for f in client.list_artifacts(parent.info.run_id, "images")]
    assert len(shown) == 2 and all(name.startswith("contact sheet+step+0") for name in shown)


def test_statuses_follow_the_cells(projected) -> None:
    sweep, ids, client = projected
    for cell in sweep.cells:
        expected = "FAILED" if cell.is_failed else "FINISHED"
        assert client.get_run(ids[cell.record_id]).info.status == expected


def test_what_mlflow_cannot_hold_is_left_out_or_marked_as_cut(projected) -> None:
    _, ids, client = projected
    assert "clip_score" not in client.get_run(ids["a0"]).data.metrics
    long = client.get_run(ids["a1"]).data.params["negative_prompt"]
    assert len(long) == 6000 and long.endswith("…")


def test_ghost_of_a_killed_projection_is_completed(projected) -> None:
    sweep, ids, client = projected
    client.update_run(ids["a3"], status="RUNNING")
    database = client.tracking_uri.removeprefix("sqlite:///")
    again = Tracker(settings(Path(database).parent)).project(sweep)
    assert again == ids
    assert client.get_run(ids["a3"]).info.status == "FINISHED"
    assert len(client.get_metric_history(ids["a3"], "clip_score")) == 1


def test_absent_server_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    nowhere = TrackingSettings("http://127.0.0.1:9", None, "all")
    with pytest.raises(IncompleteError, match="run `turbo-lab sync` once it is back"):
        Tracker(nowhere).project(sweep_result(None))


def test_runs_are_found_by_parameter_and_by_figure(projected) -> None:
    _, ids, client = projected
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    query = "params.num_inference_steps = '2' and metrics.clip_score > 0.7"
    assert [run.info.run_id for run in client.search_runs([experiment], query)] == [ids["a3"]]


@pytest.fixture
def fresh(tmp_path: Path):
    """A store, a document of its own, and where it is projected to."""
    sweep = sweep_result(tmp_path)
    return Store(tmp_path / "store"), sweep, settings(tmp_path)


def client_of(where: TrackingSettings):
    from mlflow.tracking import MlflowClient

    return MlflowClient(where.uri)


def test_finished_sweep_without_news_does_not_open_mlflow(fresh) -> None:
    store, sweep, where = fresh
    first = Tracker(where).project_news(sweep, store)
    again = Tracker(where)
    # Wall times and what was reused are another run's; they are no news.
    other = replace(sweep, wall_s=0.0, counts=replace(sweep.counts, reused=3, done=0))
    assert again.project_news(other, store) == first
    assert again._runs is None
    last = sweep.cells[3].metrics
    changed = with_cell(sweep, 3, metrics={**last, "kid": last["clip_score"]})
    assert Tracker(where).project_news(changed, store) == first
    assert "kid" in client_of(where).get_run(first["a3"]).data.metrics


def test_news_are_those_of_a_place(fresh, tmp_path: Path) -> None:
    store, sweep, where = fresh
    Tracker(where).project_news(sweep, store)
    other = tmp_path / "other"
    other.mkdir()
    elsewhere = Tracker(settings(other))
    elsewhere.project_news(sweep, store)
    assert elsewhere._runs is not None
    Path(where.uri.removeprefix("sqlite:///")).unlink()
    another = Tracker(where)
    ids = another.project_news(sweep, store)
    assert client_of(where).get_run(ids["a1"]).info.status == "FINISHED"


def test_cell_that_was_tried_again_loses_its_error(fresh) -> None:
    store, sweep, where = fresh
    ids = Tracker(where).project_news(sweep, store)
    client = client_of(where)
    assert client.get_run(ids["a2"]).data.tags["turbo_lab.error"] == "out of memory"
    mended = with_cell(sweep, 2, status=CellStatus.DONE, error=None)
    mended = replace(mended, counts=replace(mended.counts, failed=0, done=4))
    assert Tracker(where).project_news(mended, store) == ids
    run = client.get_run(ids["a2"])
    assert run.info.status == "FINISHED" and "turbo_lab.error" not in run.data.tags
    parent = client.get_run(run.data.tags["mlflow.parentRunId"])
    assert parent.data.tags["turbo_lab.cells_failed"] == "0"


def test_second_run_of_a_cell_that_a_kill_left_running_is_closed(fresh) -> None:
    store, sweep, where = fresh
    ids = Tracker(where).project_news(sweep, store)
    client = client_of(where)
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    tags = client.get_run(ids["a1"]).data.tags
    ghost = client.create_run(experiment, tags=tags).info.run_id
    assert Tracker(where).project(sweep) == ids
    assert client.get_run(ghost).info.status == "KILLED"
    assert client.search_runs([experiment], "attributes.status = 'RUNNING'") == []


def test_images_follow_when_they_are_asked_for_later(tmp_path: Path) -> None:
    sweep, store = sweep_result(tmp_path), Store(tmp_path / "store")
    ids = Tracker(settings(tmp_path, "none")).project_news(sweep, store)
    client = client_of(settings(tmp_path))
    assert client.list_artifacts(ids["a1"], "images") == []
    assert Tracker(settings(tmp_path)).project_news(sweep, store) == ids
    assert len(client.list_artifacts(ids["a1"], "images")) == 8  # and their small copies
    assert len(client.get_metric_history(ids["a1"], "clip_score")) == 1


def test_cells_arrive_while_the_sweep_goes_on(fresh) -> None:
    _, sweep, where = fresh
    live = Tracker(where)
    live.begin(SweepHead.of(sweep))
    live.start()
    arrived = threading.Event()

    def second():
        arrived.set()  # asked for only once the first is projected
        return sweep.cells[1]

    live.add(lambda: replace(sweep.cells[0], metrics={}, latency_s=None))
    live.add(second)
    assert arrived.wait(120)
    client = client_of(where)
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    [parent] = client.search_runs([experiment], "tags.`turbo_lab.kind` = 'sweep'")
    [first, *_] = client.search_runs([experiment], "tags.`turbo_lab.record_id` = 'a0'")
    assert (parent.info.status, first.info.status) == ("RUNNING", "FINISHED")
    # The end adds measurements, and nothing that is already there.
    ids = live.project(sweep)
    assert ids["a0"] == first.info.run_id
    assert client.get_run(parent.info.run_id).info.status == "FINISHED"
    run = client.get_run(ids["a0"])
    assert run.data.metrics["latency_p50_s"] == pytest.approx(0.1)
    assert len(client.search_runs([experiment])) == 5


def test_sweep_that_is_given_up_is_killed_until_it_is_resumed(fresh) -> None:
    _, sweep, where = fresh
    live = Tracker(where)
    live.begin(SweepHead.of(sweep))
    live.start()
    live.add(lambda: sweep.cells[0])
    live.give_up()
    client = client_of(where)
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id

    def parent():
        [run] = client.search_runs([experiment], "tags.`turbo_lab.kind` = 'sweep'")
        return run.info.status

    assert parent() == "KILLED"
    again = Tracker(where)
    again.begin(SweepHead.of(sweep))
    again.project(sweep)
    assert parent() == "FINISHED"
    assert len(client.search_runs([experiment])) == 5


def test_failure_on_the_way_is_made_good_at_the_end(fresh) -> None:
    _, sweep, where = fresh
    live = Tracker(where)
    live.begin(SweepHead.of(sweep))
    live.start()

    def lost():
        raise OSError("the server is away")

    live.add(lost)
    live.add(lambda: sweep.cells[1])
    ids = live.project(sweep)
    assert set(ids) == {"a0", "a1", "a2", "a3"}


def test_our_own_error_on_the_way_is_not_hidden(fresh) -> None:
    _, sweep, where = fresh
    live = Tracker(where)
    live.begin(SweepHead.of(sweep))
    live.start()
    live.add(lambda: {}["no such row"])
    with pytest.raises(KeyError, match="no such row"):
        live.project(sweep)


def test_nothing_is_projected_while_a_latency_is_measured(fresh) -> None:
    _, sweep, where = fresh
    live, is_asked = Tracker(where), threading.Event()
    live.begin(SweepHead.of(sweep))
    live.start()

    def row():
        is_asked.set()
        return sweep.cells[0]

    live.add(row)
    assert is_asked.wait(120)
    is_asked.clear()
    with live.quiet():
        live.add(row)
        assert not is_asked.wait(0.5)
    live.project(sweep)
    assert is_asked.is_set()


def test_a_sweep_that_made_what_was_known_is_closed(fresh) -> None:
    """Its batches were taken out of the store: work, and no news."""
    store, sweep, where = fresh
    ids = Tracker(where).project_news(sweep, store)
    again = Tracker(where)
    again.begin(SweepHead.of(sweep))
    again.start()
    again.add(lambda: sweep.cells[0])
    assert again.project_news(sweep, store) == ids
    client = client_of(where)
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    assert client.search_runs([experiment], "attributes.status = 'RUNNING'") == []
