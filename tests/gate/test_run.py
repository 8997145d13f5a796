"""A gate from its inputs to its verdict, if one of its checks breaks."""

from __future__ import annotations

from tests.gate.conftest import Inputs
from turbo_lab.gate.performance_checks import Instruments
from turbo_lab.gate.run import gate_report, run_gate


def test_a_check_that_breaks_leaves_the_others_their_verdicts(small_gate: Inputs) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("device-side assert")

    result = run_gate(small_gate("gate.latency=0.2"), Instruments(time_sides=broken))
    verdicts = {row.name: str(row.verdict) for row in result.checks}
    assert (verdicts["latency"], verdicts["clip_score"]) == ("error", "pass")
    assert result.verdict.exit_code == 4
    report = gate_report(result, ["candidate.seed=0", "tracking.uri=http://me:s3cret@host"], [])
    assert report.checks[-1].note == "RuntimeError: device-side assert"
    assert report.candidate == ("candidate.seed=0", "tracking.uri=http://host")
