"""``turbo-lab sync``: a store replayed into a new database, wherever the store was made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from turbo_lab.cli import main

SWEEP = ("sweep", "num_inference_steps=1", "num_images=2", "batch_size=2", "num_threads=1",
         "timing=off", "metrics=none", "tracking=none", "store=made")  # fmt: skip


def test_a_store_that_was_moved_is_replayed_with_its_images(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*SWEEP, "--json"]) == 0
    sweep_id = json.loads(capsys.readouterr().out)["sweep_id"]
    (tmp_path / "made").rename(tmp_path / "moved")
    assert main(["sync", "store=moved", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sweeps"] == [sweep_id]
    logged = [path.name for path in (tmp_path / "mlartifacts").rglob("*.png")]
    assert sum("-seed" in name for name in logged) == 2
