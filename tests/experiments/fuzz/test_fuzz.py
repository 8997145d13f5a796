"""A small run of the fuzzer, and that it finds what it looks for."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st

from experiments.fuzz.__main__ import search
from experiments.fuzz.trial import Outcome, fault

ROOT = Path(__file__).parents[3]


def test_random_words_and_damaged_files_end_well() -> None:
    """Runs in a process of its own: torch must not be loaded, and memory is limited."""
    done = subprocess.run(
        [sys.executable, "-m", "experiments.fuzz", "--lines", "400", "--files", "60"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)
    assert counts["exit 0"] > 20
    assert counts["exit 2"] > 100
    assert counts["accepted"] > 10


@pytest.mark.parametrize(
    ("outcome", "wrong"),
    [
        (Outcome(0, "fine\n", ""), None),
        (Outcome(None, "", ""), None),
        (Outcome(2, "", "turbo-lab: x=1: must be 2\n"), None),
        (Outcome(4, "", "turbo-lab: internal error\n"), "exit code 4"),
        (Outcome(2, "", ""), "exit code 2 without a message"),
        (Outcome(2, "a table\n", "no\n"), "exit code 2 with something on standard output"),
        (Outcome(0, "\x1b[31m", ""), "control characters were printed"),
        (
            Outcome(0, '{"a": NaN}', ""),
            "standard output is not one JSON document (NaN is not JSON)",
        ),
        (Outcome(2, "", "x" * 3000), "a message of 3000 characters in one line"),
        (Outcome(3, "", "Traceback (most recent call last):\n"), "a traceback was printed"),
    ],
)
def test_each_fault_is_recognised(outcome: Outcome, wrong: str | None) -> None:
    assert fault(["plan", "--json"], outcome) == wrong


def test_a_search_of_several_chunks_tries_other_inputs_in_each() -> None:
    tried: list[list[int]] = []

    def make() -> Callable[[], None]:
        tried.append([])

        @hypothesis.given(st.integers())
        def test(number: int) -> None:
            tried[-1].append(number)

        return test

    search("numbers", 45, 1, make, shrinks=False, chunk=20)
    assert [len(chunk) for chunk in tried] == [20, 20, 5]
    assert tried[0] != tried[1]
