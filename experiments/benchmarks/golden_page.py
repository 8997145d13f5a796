"""A golden check's page of many failing cases: how soon it is there in a browser.

    python -m experiments.benchmarks.golden_page [--cases 200] [--rounds 5]

The packaged cases are drawn with one weight tensor scaled and judged; each stands in
the page under as many names as the number of cases needs, its images shifted so that
no two are equal. Headless Chromium opens the page from a server on this machine, in a
frame that fills a window of 1280x800; a script in the page reads the browser's own
clock, from the request on: parsed, load event, and two frames later, when what is in
view was drawn. Prints one Markdown row.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import queue
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

from turbo_lab.golden.check import CaseCheck, library_judge
from turbo_lab.golden.library import GoldenLibrary, packaged_root
from turbo_lab.golden.run_case import CaseRunner
from turbo_lab.report.golden_check import golden_check, write_check
from turbo_lab.trials.faults import FAULTS
from turbo_lab.trials.golden_calibration import load_cases
from turbo_lab.trials.golden_mutation import run_with
from turbo_lab.trials.reanchor import anchored
from turbo_lab.verdict import Verdict

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,800",
)
MEASURES = ("parsed", "loaded", "drawn")
REPORTING = """<script>addEventListener("load", () => requestAnimationFrame(() =>
requestAnimationFrame(() => {
  const [page] = performance.getEntriesByType("navigation");
  const drawn = performance.now();
  parent.postMessage({ parsed: page.domInteractive, loaded: page.loadEventEnd, drawn }, "*");
})));</script>"""
FRAME = """<!doctype html><style>body { margin: 0 } iframe { border: 0; width: 100vw;
height: 100vh }</style><iframe src="/page"></iframe><script>addEventListener("message", (event) =>
fetch("/found", { method: "POST", body: JSON.stringify(event.data) }));</script>"""


def failing(count: int) -> list[CaseCheck]:
    """Return ``count`` failing cases: the packaged ones by turns, with one weight tensor off."""
    library = GoldenLibrary(packaged_root())
    cases, judge = load_cases(library), library_judge(library)
    runner = CaseRunner([one.case for one in cases])
    (fault,) = [f for f in FAULTS if f.name == "one weight tensor scaled by 1.01"]
    found = []
    for case, golden, stored in anchored(cases, runner):
        seen = run_with(fault, runner, case)
        verdict = judge.judge(golden, stored, seen)
        keys = {"golden": golden.fingerprint.keys, "here": seen.fingerprint.keys}
        found.append(CaseCheck(verdict, stored.pixels, seen.pixels, fingerprints=keys))
    return [_as(found[index % len(found)], index) for index in range(count)]


def _as(checked: CaseCheck, index: int) -> CaseCheck:
    """The same case under a name of its own, with images that no other has."""
    verdict = dataclasses.replace(checked.verdict, name=f"{checked.verdict.name}-{index}")
    expected, actual = (
        None if pixels is None else np.roll(pixels, index, axis=1)
        for pixels in (checked.expected, checked.actual)
    )
    return dataclasses.replace(checked, verdict=verdict, expected=expected, actual=actual)


@contextmanager
def served(page: bytes) -> Iterator[tuple[str, queue.Queue[dict[str, float]]]]:
    """The page at an address of this machine, and what its script reports."""
    reports: queue.Queue[dict[str, float]] = queue.Queue()
    files = {"/": FRAME.encode(), "/page": page}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = files.get(self.path)
            self.send_response(200 if content else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(content or b"")

        def do_POST(self) -> None:
            reports.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/", reports
        server.shutdown()
        thread.join()


def opened(page: bytes) -> dict[str, float]:
    """Milliseconds from the request to each of :data:`MEASURES`, in a browser just started."""
    browser = shutil.which("chromium") or "chromium"
    with served(page) as (address, reports), tempfile.TemporaryDirectory() as profile:
        command = [browser, *FLAGS, f"--user-data-dir={profile}", "--remote-debugging-port=0"]
        process = subprocess.Popen(
            [*command, address], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            return reports.get(timeout=120)
        finally:
            process.terminate()
            process.wait()


def spread(rounds: Sequence[dict[str, float]], measure: str) -> str:
    """``median (smallest to largest)`` in seconds."""
    values = sorted(found[measure] / 1e3 for found in rounds)
    return f"{statistics.median(values):.2f} ({values[0]:.2f} to {values[-1]:.2f})"


def main() -> None:
    """Print one Markdown row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    checked = failing(options.cases)
    assert all(item.verdict.verdict == Verdict.REGRESSION for item in checked)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "page.html"
        began = time.perf_counter()
        write_check({"html": path}, golden_check(checked, ()), checked)
        built = time.perf_counter() - began
        whole = path.read_text(encoding="utf-8").replace("<head>", f"<head>{REPORTING}", 1)
    rounds = [opened(whole.encode()) for _ in range(options.rounds)]
    print("| failing cases | page, MB | built, s | parsed, s | load event, s | drawn, s |")
    print("| --- | --- | --- | --- | --- | --- |")
    cells = " | ".join(spread(rounds, measure) for measure in MEASURES)
    print(f"| {options.cases} | {len(whole) / 1e6:.1f} | {built:.1f} | {cells} |")


if __name__ == "__main__":
    main()
