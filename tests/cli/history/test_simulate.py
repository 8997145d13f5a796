"""``turbo-lab history simulate``."""

from __future__ import annotations

import json

import pytest

from turbo_lab.cli.main import main


def test_the_table_has_a_row_per_length_and_step(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["history", "simulate", "--entries", "12", "--runs", "20"]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert len([line for line in shown.splitlines() if line.strip().startswith("12 ")]) == 4
    assert "20 series per row, level 0.05" in shown
    assert main([*words, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["rows"]) == 4
