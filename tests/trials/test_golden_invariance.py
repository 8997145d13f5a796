"""Invariance: every row is compared, or says that no case could be."""

from __future__ import annotations

import json

import pytest

from turbo_lab.cli.main import main
from turbo_lab.golden.library import GoldenLibrary


@pytest.mark.slow
def test_the_suite_says_what_was_compared_and_what_could_not_be(
    one: GoldenLibrary, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = ("prompts=scenes-demo", "num_images=2", "batch_size=2", "num_threads=1", "seed=9")
    assert main(["golden", "record", "pair", *overrides, "--processes", "0"]) == 0
    capsys.readouterr()
    assert main(["golden", "invariance", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["rows"]}
    cases = {name: row["cases"] for name, row in rows.items()}
    assert cases["prompt order"] == 1 and cases["resumed against uninterrupted sweep"] == 2
    assert rows["adapter order"]["holds"] is None and cases["adapter order"] == 0
    assert all(row["holds"] for row in rows.values() if row["cases"])
    assert {name for name, row in rows.items() if row["tier"] == "T0"} == {
        "run again",
        "after other work",
        "a fresh process",
        "adapters on and off again",
        "shared against unshared work",
        "resumed against uninterrupted sweep",
        "saved and loaded",
    }
