"""Replay of a store's sweeps into MLflow."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from turbo_lab.errors import IncompleteError
from turbo_lab.progress import StderrProgress
from turbo_lab.tracking import EXPERIMENT, Tracker, TrackingSettings
from turbo_lab.workflows import results
from turbo_lab.workflows.executed import Executed
from turbo_lab.workflows.sweep import finish_sweep
from turbo_lab.workflows.sync import SyncedSweep, sync_store


def test_whole_sweeps_and_those_that_were_cut_off_are_replayed(
    executed_copy: Executed, tmp_path: Path
) -> None:
    from mlflow.tracking import MlflowClient

    done, store, notes = executed_copy, executed_copy.store, []
    whole = finish_sweep(done, None, StderrProgress()).result.sweep_id
    begun = replace(results.begun_sweep(done.plan, done.sweep), sweep_id="f" * 16)
    store.begin_sweep(begun.sweep_id, begun)
    damaged = store.sweep_files("e" * 16)
    shutil.copy(store.sweep_files(whole).document, damaged.document)
    damaged.document.write_text("{")
    settings = TrackingSettings.local(tmp_path, "none")
    found = {one.sweep_id: one for one in sync_store(store, Tracker(settings), notes.append)}
    assert found[whole] == SyncedSweep(whole, 2)
    assert found["f" * 16] == SyncedSweep("f" * 16, 2, begun_cells=2)
    assert found["e" * 16].cells == 0 and "sweep.json" in str(found["e" * 16].error)
    assert notes == []
    client = MlflowClient(settings.uri)
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    statuses = [run.info.status for run in client.search_runs([experiment])]
    assert statuses.count("FAILED") >= 1 and "RUNNING" not in statuses


def test_an_absent_server_ends_the_replay(executed_copy: Executed) -> None:
    finish_sweep(executed_copy, None, StderrProgress())
    tracker = Tracker(TrackingSettings("http://127.0.0.1:9", None, "none", 0.5))
    with pytest.raises(IncompleteError, match="http://127.0.0.1:9"):
        list(sync_store(executed_copy.store, tracker, print))


OPEN = """
import sys
from pathlib import Path
from turbo_lab.store.store import Store
store = Store(Path(sys.argv[1]))
print("open", flush=True)
sys.stdin.read()
"""


@contextmanager
def other_process(root: Path) -> Iterator[None]:
    """Keep a store open in another process."""
    process = subprocess.Popen(
        [sys.executable, "-c", OPEN, str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        yield
        process.communicate()


def test_a_store_that_another_process_has_open_is_left_for_later(
    executed_copy: Executed, tmp_path: Path
) -> None:
    done, notes = executed_copy, []
    begun = results.begun_sweep(done.plan, done.sweep)
    done.store.begin_sweep(begun.sweep_id, begun)
    tracker = Tracker(TrackingSettings.local(tmp_path, "none"))
    with other_process(done.store.root):
        assert list(sync_store(done.store, tracker, notes.append)) == []
    assert len(notes) == 1 and "another process has it open" in notes[0]
    assert not (tmp_path / "mlflow.db").exists()
