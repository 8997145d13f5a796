"""Evidence of a bisection, kept and read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from turbo_lab.golden.fresh_process import write_stages
from turbo_lab.golden.stages import StageValue
from turbo_lab.upgrade.evidence import Evidence, EvidenceFolder
from turbo_lab.upgrade.installer import Resolved
from turbo_lab.upgrade.messages import DrawnCase, DrawnCases

SEARCH = {"range": "lamp==1.0..2.0", "versions": ("1.0", "2.0")}
DRAWN = DrawnCases((DrawnCase("case", "abc", keys={"torch": "2", "num_threads": 1}, options={}),))
STAGES = (StageValue("noise", "float32", np.ones((1, 2), np.float32)),)


def keep(folder: EvidenceFolder, found: Evidence) -> None:
    def make(stages: Path) -> tuple[Evidence, None]:
        write_stages(stages, {"case": STAGES})
        return found, None

    folder.write(found.version, make)


def test_evidence_is_read_back(tmp_path: Path) -> None:
    folder = EvidenceFolder(tmp_path / "evidence", SEARCH)
    assert folder.read("1.0") is None
    found = Evidence("1.0", (Resolved("lamp", "1.0", None),), drawn=DRAWN)
    keep(folder, found)
    again = EvidenceFolder(tmp_path / "evidence", SEARCH)
    assert again.read("1.0") == found
    run = again.runs(found)["case"]
    assert run.seen is not None
    assert (run.seen.cell_id, run.seen.fingerprint.keys) == (
        "abc",
        {"torch": "2", "num_threads": 1},
    )
    assert np.array_equal(run.seen.stages[0].values, STAGES[0].values)


def test_versions_that_ran_are_counted(tmp_path: Path) -> None:
    folder = EvidenceFolder(tmp_path, SEARCH)
    keep(folder, Evidence("1.0", (), drawn=DRAWN))
    keep(folder, Evidence("1.5", (), failure="ImportError"))
    keep(folder, Evidence("2.0", (), skip="cannot be installed"))
    assert folder.versions() == 2


def test_another_search_starts_from_nothing(tmp_path: Path) -> None:
    keep(EvidenceFolder(tmp_path, SEARCH), Evidence("1.0", ()))
    other = EvidenceFolder(tmp_path, {**SEARCH, "range": "lamp==1.0..3.0"})
    assert other.read("1.0") is None


def test_what_an_interruption_left_is_made_again(tmp_path: Path) -> None:
    folder = EvidenceFolder(tmp_path, SEARCH)

    def interrupted(stages: Path) -> tuple[Evidence, None]:
        stages.touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        folder.write("1.0", interrupted)
    assert folder.read("1.0") is None
    assert [path.name for path in tmp_path.iterdir()] == ["search.json"]
    (tmp_path / "1.0.making").mkdir()  # of a process that was killed
    keep(folder, Evidence("1.0", ()))
    assert folder.read("1.0") == Evidence("1.0", ())
