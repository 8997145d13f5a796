import json

import pytest

from turbo_lab.verdict import WORST_FIRST, Verdict, worst


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (["pass", "inconclusive", "regression", "error"], Verdict.ERROR),
        (["pass", "uncovered", "regression"], Verdict.REGRESSION),
        (["inconclusive", "uncovered"], Verdict.UNCOVERED),
        (["pass", "inconclusive"], Verdict.INCONCLUSIVE),
        ([Verdict.PASS], Verdict.PASS),
        ([], Verdict.PASS),
    ],
)
def test_the_worst_decides(verdicts: list[str], expected: Verdict) -> None:
    assert worst(verdicts) is expected


def test_an_unknown_verdict_is_refused() -> None:
    with pytest.raises(ValueError, match="'passed' is not a valid Verdict"):
        worst(["pass", "passed"])


def test_every_verdict_has_its_exit_code_and_looks() -> None:
    assert {str(one): one.exit_code for one in Verdict} == {
        "pass": 0,
        "regression": 1,
        "inconclusive": 3,
        "uncovered": 3,
        "error": 4,
    }
    assert all(one.style and one.emoji and 0 < len(one.short) <= 6 for one in Verdict)
    assert len({one.emoji for one in Verdict}) == len(WORST_FIRST)


def test_documents_have_it_as_plain_text() -> None:
    assert json.dumps({"verdict": Verdict.PASS}) == '{"verdict": "pass"}'
    assert f"{Verdict.REGRESSION}" == "regression"
