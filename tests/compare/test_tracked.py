"""A comparison in its store: the whole way is in tests/cli/test_compare.py."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.report.judged import compare_report_of_two
from turbo_lab import config
from turbo_lab.compare import tracked
from turbo_lab.compare.contenders import Comparison
from turbo_lab.compare.entrant import Entrant, FailedEntrant
from turbo_lab.errors import InputError
from turbo_lab.planning.options import RunOptions
from turbo_lab.store.store import Store
from turbo_lab.verdict import Verdict


def test_the_page_is_kept_with_the_summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    point = config.compose("compare", ["device=cpu", "tracking=none"])[0]
    options, report = RunOptions.from_config(point.values), compare_report_of_two()
    nobody: Any = None
    found = Comparison(Verdict.INCONCLUSIVE, nobody, {}, report.rows, reference=nobody, pairs={})
    failed = FailedEntrant("nano-lcm 4 steps", InputError("no such file"))
    drawn = Entrant(SimpleNamespace(options=options))  # type: ignore[arg-type]
    tracked.track_comparison(found, report, [failed, drawn], print)
    [files] = Store(options.store).layout.judgements()
    assert "nano-sdxl 25 steps" in files.page.read_text()
