"""Servers that drip, refuse or cannot take artifacts; passwords; no run is left RUNNING."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from tests.report.results import sweep_result
from tests.tracking.servers import Dripping, Refusing, serving
from turbo_lab.cli.main import main
from turbo_lab.errors import IncompleteError
from turbo_lab.tracking import EXPERIMENT, Tracker, TrackingSettings
from turbo_lab.tracking.projection import SweepHead

SWEEP = (
    "sweep",
    "num_images=1",
    "num_threads=1",
    "metrics=none",
    "timing=off",
    "num_inference_steps=1",
    "guidance_scale=0",
)
COMMAND = "import sys; from turbo_lab.cli.main import main; sys.exit(main())"


@pytest.mark.slow
def test_dripping_server_ends_a_sweep_in_time_and_its_password_is_nowhere(tmp_path: Path) -> None:
    with serving(Dripping) as server:
        uri = f"http://me:s3cret%21@{server.address}"
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                COMMAND,
                *SWEEP,
                "--json",
                "tracking=server",
                f"tracking.uri={uri}",
                "tracking.timeout_s=4",
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
        )
        # On a busy machine the time may be over before the first request.
        assert set(server.logins) <= {"me:s3cret!"}
    assert done.returncode == 3
    assert f"http://{server.address} did not finish within 4.0 s" in done.stderr
    assert "run `turbo-lab sync`" in done.stderr
    assert f'"tracking_uri": "http://{server.address}"' in done.stdout
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) > 3
    for text in (done.stdout.encode(), done.stderr.encode(), *written):
        assert b"s3cret" not in text


@pytest.mark.parametrize("is_in_uri", [True, False])
def test_login_is_used_and_not_quoted(monkeypatch: pytest.MonkeyPatch, is_in_uri: bool) -> None:
    """From ``tracking.uri``, or from MLflow's own variables."""
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "somebody" if is_in_uri else "me")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "else" if is_in_uri else "p@ss")
    with serving(Refusing) as server:
        login = "me:p%40ss@" if is_in_uri else ""
        settings = TrackingSettings(f"http://{login}{server.address}", None, "none")
        with pytest.raises(IncompleteError, match="401") as raised:
            Tracker(settings).project(sweep_result(None))
        assert server.logins[0] == "me:p@ss"
    for text in (str(raised.value), repr(settings), str(raised.value.__cause__)):
        assert "p%40ss" not in text and "p@ss" not in text


@pytest.mark.parametrize(
    "uri", ["http://me:s3c/ret@host", "http://me:s3c?ret@host", "http://me:s3c#ret@h", "s3cret/x"]
)
def test_address_that_cannot_be_read_is_not_quoted(
    uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", "tracking=server", f"tracking.uri='{uri}'"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("turbo-lab: tracking.uri: not an address") and "ret" not in said


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        *((value, "must be above 0, in seconds") for value in ("0", "-1")),
        *((value, "must be a finite number") for value in ("soon", "true", "null", ".inf", ".nan")),
    ],
)
def test_timeout_is_a_positive_number(
    value: str, rule: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", f"tracking.timeout_s={value}"]) == 2
    assert rule in capsys.readouterr().err


def statuses(settings: TrackingSettings) -> list[str]:
    """Statuses of all runs, sorted."""
    client = MlflowClient(settings.uri)
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    return sorted(run.info.status for run in client.search_runs([experiment]))


def with_artifacts_at(folder: Path, location: str) -> TrackingSettings:
    """Settings for a local database whose artifacts are somewhere else."""
    settings = TrackingSettings.local(folder, "none")
    empty = replace(sweep_result(folder), sweep_id="first", cells=())
    Tracker(settings).project(empty)
    client = MlflowClient(settings.uri)
    client.rename_experiment(client.get_experiment_by_name(EXPERIMENT).experiment_id, "other")
    client.create_experiment(EXPERIMENT, location)
    return replace(settings, chosen=location)


# A file is in the way; a package is missing; MLflow knows no such scheme.
@pytest.mark.parametrize("location", ["file:///dev/null/x", "sftp://127.0.0.1:9/x", "moon://x"])
def test_artifacts_without_a_place_leave_no_run_running(tmp_path: Path, location: str) -> None:
    settings = with_artifacts_at(tmp_path, location)
    live = Tracker(settings)
    sweep = sweep_result(tmp_path)
    live.begin(SweepHead.of(sweep))
    live.start()
    live.add(lambda: sweep.cells[0])
    with pytest.raises(IncompleteError, match="run `turbo-lab sync`"):
        live.project(sweep)
    assert statuses(settings) == ["KILLED", "KILLED"]


def test_artifacts_are_completed_once_there_is_a_place(tmp_path: Path) -> None:
    settings = TrackingSettings.local(tmp_path, "none")
    (tmp_path / "mlartifacts").touch()
    with pytest.raises(IncompleteError, match="mlartifacts"):
        Tracker(settings).project(sweep_result(tmp_path))
    (tmp_path / "mlartifacts").unlink()
    Tracker(settings).project(sweep_result(tmp_path))
    assert statuses(settings) == ["FAILED"] + ["FINISHED"] * 4


def test_artifacts_that_hang_leave_no_run_running(tmp_path: Path) -> None:
    with serving(Dripping) as server:
        api = f"http://{server.address}/api/2.0/mlflow-artifacts/artifacts/x"
        settings = with_artifacts_at(tmp_path, api)
        tracker = Tracker(replace(settings, timeout_s=3))
        with pytest.raises(IncompleteError, match="did not finish within 3.0 s"):
            tracker.project(sweep_result(tmp_path))
        assert tracker.is_lost
        assert set(statuses(settings)) <= {"KILLED"}


def test_server_that_hangs_does_not_hold_up_a_measurement() -> None:
    with serving(Dripping) as server:
        tracker = Tracker(TrackingSettings(f"http://{server.address}", None, "none", 0.2))
        tracker.begin(SweepHead.of(sweep_result(None)))
        tracker.start()
        while not server.logins:  # the thread is in its first request
            pass
        with tracker.quiet():
            assert tracker.is_lost
        with pytest.raises(IncompleteError, match="did not finish within 0.2 s"):
            tracker.project(sweep_result(None))
