"""Exit codes: 0 done, 1 regression, 2 wrong input, 3 incomplete, 4 no judgement possible.

Code 1 takes a drawn image: see ``test_golden_check`` and ``test_reproduce`` of the documents.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.contract.conftest import FILES, TurboLab

SWEEP = "580fd4a2249dd557"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a whole store, a damaged one, goldens, a damaged one and none recorded."""
    folder = tmp_path_factory.mktemp("codes")
    shutil.copytree(FILES / "store", folder / "store")
    damaged = shutil.copytree(FILES / "store", folder / "damaged")
    for image in (damaged / "batches").rglob("*.png"):
        image.unlink()
    (folder / "newer").mkdir()
    marker = {"schema": 99, "turbo_lab": "9.0.0", "kind": "store"}
    (folder / "newer" / "store.json").write_text(json.dumps(marker), encoding="utf-8")
    (folder / "notes.txt").write_text("no picture\n", encoding="utf-8")
    shutil.copytree(FILES / "baselines", folder / "baselines")
    (folder / "baselines" / "edited.json").write_text(
        (FILES / "baselines" / "old.json").read_text("utf-8").replace("seed", "seeds", 1),
        encoding="utf-8",
    )
    shutil.copytree(FILES / "goldens", folder / "goldens")
    cases = {"guided": ["seed=1"], "one-step": ["seed=2"], "new": ["seed=3"]}
    header = {"schema": 1, "turbo_lab": "0.1.0", "kind": "golden-cases"}
    path = folder / "goldens" / "cases.json"
    path.write_text(json.dumps({**header, "cases": cases}), encoding="utf-8")
    sidecar = folder / "goldens" / "guided" / "golden.json"
    sidecar.write_text(sidecar.read_text("utf-8").replace("guided", "other"), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("line", "exit_code"),
    [
        ("", 0),
        ("--help", 0),
        ("--version", 0),
        ("sweep --help", 0),
        ("golden --help", 0),
        ("plan", 0),
        ("plan num_inference_steps=1,2 store=store", 0),
        ("models list", 0),
        ("models show nano-turbo", 0),
        ("models show sdxl-turbo", 0),
        ("baseline list", 0),
        ("baseline show old", 0),
        ("store verify store=store", 0),
        ("store du store=store", 0),
        ("store gc store=store", 0),
        ("golden prune", 0),
        (f"report {SWEEP} store=store", 0),
        (f"report {SWEEP} store=store --format markdown --output report.md", 0),
        ("sweeep", 2),
        ("plan num_inference_steps=0", 2),
        ("plan model=nano-turb", 2),
        ("plan unknown_key=1", 2),
        ("plan --unknown-flag", 2),
        ("plan num_threads=1,2", 2),
        ("plan model=sdxl-turbo", 0),
        ("sweep model=sdxl-turbo", 2),
        ("sweep timing=long", 2),
        ("sweep store=notes.txt", 2),
        ("sweep store=newer", 2),
        ("generate", 2),
        ("bench nano-turbo", 2),
        ("bench timing=off", 2),
        ("show", 2),
        ("show absent.png", 2),
        ("show notes.txt", 2),
        ("models", 2),
        ("models show nano-turb", 2),
        ("golden", 2),
        ("golden chek", 2),
        ("golden check absent", 2),
        ("golden accept new", 2),
        ("golden mutate new", 2),
        ("compare", 2),
        ("gate", 2),
        ("gate gate=releas", 2),
        ("gate gate=release candidate.gate=none", 2),
        ("baseline", 2),
        ("baseline show absent", 2),
        ("baseline show edited", 2),
        (f"baseline set mine {SWEEP} store=store", 2),
        ("reproduce", 2),
        ("reproduce 0123456789 store=store", 2),
        ("report absent store=store", 2),
        ("report 3c4e store=store", 2),
        ("reference build absent", 2),
        ("store", 2),
        ("store verify store=absent", 2),
        ("doctor --unknown-flag", 2),
        ("sync store=absent", 2),
        ("sync store=store tracking=none", 2),
        ("golden check new", 3),
        ("golden check one-step", 3),
        ("store verify store=damaged", 3),
        (f"report {SWEEP} store=damaged --output damaged.html", 3),
        ("golden check guided", 4),
        ("golden check guided new", 4),
    ],
)
def test_exit_code(line: str, exit_code: int, turbo_lab: TurboLab, lab: Path) -> None:
    answer = turbo_lab(*line.split(), folder=lab)
    assert answer.exit_code == exit_code, answer.errors
    assert "Traceback" not in answer.errors
    if exit_code == 2:
        assert answer.output == "" and answer.errors.startswith("turbo-lab: ")
