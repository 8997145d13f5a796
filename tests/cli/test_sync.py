"""``turbo-lab sync``: a store replayed into a new database, moved or cut off as it may be."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from turbo_lab.cli.main import main

SWEEP = (
    "sweep",
    "num_inference_steps=1",
    "num_images=2",
    "batch_size=2",
    "num_threads=1",
    "timing=off",
    "metrics=none",
    "tracking=none",
    "store=made",
)


def test_a_store_that_was_moved_is_replayed_with_its_images(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*SWEEP, "--json"]) == 0
    sweep_id = json.loads(capsys.readouterr().out)["sweep_id"]
    (tmp_path / "made").rename(tmp_path / "moved")
    assert main(["sync", "store=moved", "--json"]) == 0
    synced = json.loads(capsys.readouterr().out)
    assert (synced["sweeps"], synced["cut_off"]) == ([sweep_id], [])
    logged = [path.name for path in (tmp_path / "mlartifacts").rglob("*.png")]
    assert sum("contact sheet" not in name and "+step+" in name for name in logged) == 2


def test_a_sweep_that_was_cut_off_is_there_and_killed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.tracking import MlflowClient

    monkeypatch.chdir(tmp_path)
    command = [*SWEEP, "num_inference_steps=1,2", "--json"]
    assert main(command) == 0
    whole = json.loads(capsys.readouterr().out)
    # As a kill before the second cell's record leaves it.
    (tmp_path / "made" / "sweeps" / whole["sweep_id"] / "sweep.json").unlink()
    Path(whole["cells"][1]["record"]).unlink()
    assert main(["sync", "store=made", "--json"]) == 0
    synced = json.loads(capsys.readouterr().out)
    assert (synced["sweeps"], synced["cut_off"]) == ([], [whole["sweep_id"]])
    client = MlflowClient(synced["tracking_uri"])
    experiment = client.get_experiment_by_name("turbo-lab").experiment_id

    def statuses() -> dict[str, str]:
        return {run.info.run_name: run.info.status for run in client.search_runs([experiment])}

    name = f"sweep {whole['sweep_id'][:8]} nano-turbo"
    assert statuses() == {name: "KILLED", "1 step": "FINISHED"}
    assert main(["sync", "store=made"]) == 0
    assert "cut off: 1 of 2 cells; its command resumes it" in capsys.readouterr().out
    # Resumed, with tracking on: the same runs, and the missing one.
    resumed = [word for word in command if word != "tracking=none"]
    assert main(resumed) == 0
    assert statuses() == {
        name: "FINISHED",
        "1 step": "FINISHED",
        "2 steps": "FINISHED",
    }


def test_what_is_no_sweep_leaves_none_that_was_cut_off(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["generate", "a key on a red background", "num_threads=1", "store=made"]) == 0
    capsys.readouterr()
    assert main(["sync", "store=made"]) == 0
    assert "has no sweeps" in capsys.readouterr().out


def test_a_store_that_another_process_has_open_keeps_its_open_ends(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What looks cut off may be what that process is at."""
    monkeypatch.chdir(tmp_path)
    assert main([*SWEEP, "--json"]) == 0
    sweep_id = json.loads(capsys.readouterr().out)["sweep_id"]
    (tmp_path / "made" / "sweeps" / sweep_id / "sweep.json").unlink()
    holder = (
        "import sys; from pathlib import Path; from turbo_lab.store.store import Store; "
        "store = Store(Path('made')); print('open', flush=True); sys.stdin.read()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", holder], **pipes) as other:
        assert other.stdout.readline() == "open\n"
        assert main(["sync", "store=made", "--json"]) == 0
        said = capsys.readouterr()
        assert json.loads(said.out)["cut_off"] == []
        assert "another process has it open" in said.err
        other.stdin.close()
    assert main(["sync", "store=made", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cut_off"] == [sweep_id]


def lose_a_record(sweep: Path) -> None:
    cells = json.loads(sweep.read_text())["cells"]
    Path(cells[0]["record"]).unlink()


def lose_a_field(sweep: Path) -> None:
    values = json.loads(sweep.read_text())
    del values["cells"][0]["parameters"]["seed"]
    sweep.write_text(json.dumps(values))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [(lose_a_record, "No such file"), (lose_a_field, "cells[0].parameters.seed is missing")],
)
def test_sweep_that_cannot_be_projected_does_not_stop_the_next(
    damage: Callable[[Path], None],
    reason: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    documents = []
    for seed in (1, 2):
        assert main([*SWEEP, f"seed={seed}", "--json"]) == 0
        documents.append(json.loads(capsys.readouterr().out))
    lost, kept = sorted(documents, key=lambda document: document["sweep_id"])
    damage(Path("made", "sweeps", lost["sweep_id"], "sweep.json"))
    assert main(["sync", "store=made", "--json"]) == 3
    said = capsys.readouterr()
    synced = json.loads(said.out)
    assert synced["sweeps"] == [kept["sweep_id"]]
    assert [row["sweep_id"] for row in synced["failed"]] == [lost["sweep_id"]]
    assert reason in synced["failed"][0]["error"]
    assert said.err.count(synced["failed"][0]["error"]) == 1
