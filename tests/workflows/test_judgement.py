"""Comparisons and gates in their store and in MLflow: kept, sent once, and replayed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from tests.report.judged import compare_report_of_two, gate_report_of_two
from turbo_lab import config
from turbo_lab.planning.options import RunOptions
from turbo_lab.report.judgement import compare_judgement, gate_judgement
from turbo_lab.store.store import Store
from turbo_lab.tracking import EXPERIMENT, Tracker, TrackingSettings
from turbo_lab.workflows.judgement import keep_judgement
from turbo_lab.workflows.sync import sync_store


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A function from words to the options of a command in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def compose(*words: str) -> RunOptions:
        return RunOptions.from_config(config.compose("gate", ["device=cpu", *words])[0].values)

    return compose


def runs_of(folder: Path):
    settings = TrackingSettings.local(folder, "all")
    client = MlflowClient(settings.uri)
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    return client, {run.info.run_name: run for run in client.search_runs([experiment])}


def keep_both(options: RunOptions) -> list[str]:
    notes: list[str] = []
    keep_judgement(gate_judgement(gate_report_of_two()), lambda: "gate page", options, notes.append)
    compared = compare_judgement(compare_report_of_two())
    keep_judgement(compared, lambda: "compare page", options, notes.append)
    return notes


def test_each_is_a_run_with_verdict_figures_and_page(options, tmp_path: Path) -> None:
    assert keep_both(options()) == keep_both(options()) == []
    client, runs = runs_of(tmp_path)
    assert set(runs) == {
        "gate regression: release",
        "compare inconclusive: nano-turbo 1 step",
    }
    gate = runs["gate regression: release"]
    assert gate.data.tags["turbo_lab.verdict"] == "regression"
    assert gate.data.tags["turbo_lab.kind"] == "gate"
    assert gate.data.tags["mlflow.source.name"] == "turbo-lab gate"
    assert gate.data.tags["mlflow.source.git.commit"] == "c" * 40
    assert gate.data.metrics["difference clip_score"] == -0.05
    assert gate.data.params["baseline"] == "nano-turbo"
    assert gate.info.status == "FINISHED"
    page = client.download_artifacts(gate.info.run_id, "report.html", str(tmp_path))
    assert Path(page).read_text() == "gate page"
    assert len(client.get_metric_history(gate.info.run_id, "clip_score")) == 1


def test_a_replay_gives_the_same_runs_once(options, tmp_path: Path) -> None:
    keep_both(options("tracking=none"))
    assert not (tmp_path / "mlflow.db").exists()
    store, other = Store(options().store), tmp_path / "other"
    other.mkdir()
    for _ in range(2):
        tracker = Tracker(TrackingSettings.local(other, "all"))
        synced = list(sync_store(store, tracker, print))
        assert len(synced) == 2 and all(one.is_judgement and not one.error for one in synced)
    keep_both(options())
    (_, replayed), (_, live) = runs_of(other), runs_of(tmp_path)
    assert set(replayed) == set(live) and len(live) == 2
    for name, run in live.items():
        again = replayed[name]
        assert again.data.metrics == run.data.metrics and again.data.params == run.data.params
        kept = {k: v for k, v in again.data.tags.items() if k != "mlflow.user"}
        assert kept.items() <= run.data.tags.items()


def test_a_server_that_is_away_changes_nothing(options, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    away = options("tracking.uri=http://127.0.0.1:9")
    notes = keep_both(away)
    assert len(notes) == 2 and all("run `turbo-lab sync`" in text for text in notes)
    assert len(Store(away.store).layout.judgements()) == 2


def test_no_page_goes_where_no_images_go(options, tmp_path: Path) -> None:
    keep_both(options("tracking.images=none"))
    client, runs = runs_of(tmp_path)
    assert [client.list_artifacts(run.info.run_id) for run in runs.values()] == [[], []]


def test_a_damaged_judgement_does_not_stop_a_replay(options, tmp_path: Path) -> None:
    keep_both(options("tracking=none"))
    store = Store(options().store)
    first, second = store.layout.judgements()
    first.document.write_text("{}")
    tracker = Tracker(replace(TrackingSettings.local(tmp_path, "all"), timeout_s=60))
    synced = {one.sweep_id: one.error for one in sync_store(store, tracker, print)}
    assert synced[second.judgement_id] is None
    assert "judgement.json" in str(synced[first.judgement_id])
