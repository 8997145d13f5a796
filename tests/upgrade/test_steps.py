"""What is asked of a probe, with the process of this environment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.test_gate import SMALL
from turbo_lab.api.gates import compose_trial
from turbo_lab.upgrade.remote import ProbeError, RemoteProbe
from turbo_lab.upgrade.steps import draw_cases, draw_images, policy_cases, time_probes

CASE = "nano-turbo-1-step"
WORDS = ("gate=release", *SMALL, f"gate.goldens=[{CASE}]", "tracking=none")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RemoteProbe]:
    log = tmp_path_factory.mktemp("probe") / "log"
    with RemoteProbe("this environment", log, 300) as found:
        yield found


def test_the_cases_of_a_policy_are_drawn(probe: RemoteProbe, tmp_path: Path) -> None:
    policy, _ = compose_trial(WORDS)
    by_case = policy_cases(policy)
    assert list(by_case) == [CASE]
    answer, runs = draw_cases(probe, by_case, list(by_case), tmp_path / "stages")
    assert runs[CASE].seen is not None
    assert answer.cases[0].cell_id == by_case[CASE].read(CASE).cell_id


def test_images_are_drawn_there_and_measured_here(probe: RemoteProbe, tmp_path: Path) -> None:
    _, sweep = compose_trial(WORDS)
    found = draw_images(probe, sweep, WORDS, ("clip_score",), tmp_path / "store")
    assert len(found.keys) == 8
    scored = found.scored("clip_score")
    assert scored is not None and scored.measurement.value is not None


def test_two_processes_are_timed_in_turn(probe: RemoteProbe, tmp_path: Path) -> None:
    _, sweep = compose_trial(WORDS)
    with RemoteProbe("the other", tmp_path / "log", 300) as other:
        found = time_probes(probe, other, sweep, WORDS)
        assert len(found.blocks_a_s) == len(found.blocks_b_s) == 12
        assert 0.2 < found.ratio < 5
        other.close()
        with pytest.raises(ProbeError, match="the other could not warm up for the timing"):
            time_probes(probe, other, sweep, WORDS)
