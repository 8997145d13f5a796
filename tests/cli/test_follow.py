"""``turbo-lab report --follow`` as a process: it says its address, and Ctrl-C ends it well."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

from tests.report.results import store_with_sweeps
from turbo_lab.cli.main import main


def test_it_says_its_address_and_ends_by_ctrl_c(tmp_path: Path) -> None:
    store_with_sweeps(tmp_path / "turbo-lab-store", "abc123")
    # A process that CI started in the background ignores Ctrl-C, and its children do, too.
    heeds = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    run = f"{heeds}; from turbo_lab.cli.main import run; run()"
    command = [sys.executable, "-c", run, "report", "--follow", "abc"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        line = process.stdout.readline()
        found = re.search(r"sweep abc123 at (http://127\.0\.0\.1:\d+/)", line)
        assert found, line + process.stderr.read()
        with urllib.request.urlopen(found[1], timeout=60) as answer:
            assert b"<!doctype html>" in answer.read()
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert process.stderr.read() == ""


def test_two_names_and_a_file_are_refused(tmp_path: Path) -> None:
    store_with_sweeps(tmp_path / "turbo-lab-store", "abc123")
    store = f"store={tmp_path / 'turbo-lab-store'}"
    assert main(["report", "--follow", "abc", "abd", store]) == 2
    assert main(["report", "--follow", "abc", "--json", store]) == 2
