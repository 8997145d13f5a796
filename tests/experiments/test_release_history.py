"""The table of releases, on evidence that is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.studies.release_history import rows
from tests.golden_cases import Loaded
from tests.upgrade.searches import CASE, Version, search
from turbo_lab.golden.run_case import CaseRunner


@pytest.mark.usefixtures("in_folder")
def test_each_release_is_compared_with_the_last_one_that_draws(
    tmp_path: Path, runner: CaseRunner, loaded: Loaded
) -> None:
    seen = runner.run(next(one.case for one in loaded if one.case.name == CASE))
    broken = Version(failure="lamp 1.1 could not import its libraries: ImportError: x")
    versions = [Version(), broken, Version(), Version(changed="vae", others={"bulb": "2"})]
    found = list(rows(search(tmp_path, seen, versions)))
    assert found[0] == "| 1.0 |  |  | the first that draws |  |"
    assert found[1] == f"| 1.1 |  |  | cannot be tested | {broken.failure} |"
    assert found[2] == "| 1.2 |  | 1.0 | 1 of 1 identical to the bit |  |"
    assert found[3].startswith(
        "| 1.3 | bulb 2 | 1.2 | 0 of 1 identical to the bit, first at vae | vae in 1 of 1, up to "
    )
