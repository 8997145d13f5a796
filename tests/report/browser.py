"""Pages in a real browser: Debian's Chromium, headless, and what a script in the page found."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

HEADLESS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
"""Flags of a browser without a window, as root, that calls no server of its own."""


def needs_browser() -> str:
    """Chromium's path; skips the test where there is none."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("needs Debian's chromium")
    return found


def run_in_page(page: str, script: str) -> dict[str, Any]:
    """Open a page, run ``script`` (which fills ``found`` and may await), and return what it found.

    ``errors`` holds what the page's own scripts raised and what it was refused.
    """
    browser = needs_browser()
    guard = (
        "<script>window.errors=[];"
        "window.addEventListener('error',e=>errors.push(String(e.message)));"
        "window.addEventListener('unhandledrejection',e=>errors.push(String(e.reason)));"
        "document.addEventListener('securitypolicyviolation',e=>errors.push(e.blockedURI));"
        "</script>"
    )
    ending = (
        f"<script>(async()=>{{const found={{}};{script};found.errors=errors;"
        "const out=document.createElement('pre');out.id='found';"
        "out.textContent=JSON.stringify(found);document.body.append(out);})()</script>"
    )
    # In front of the policy, so that what it refuses is heard.
    whole = page.replace("<head>", "<head>" + guard, 1).replace("</body>", ending + "</body>", 1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "page.html"
        path.write_text(whole, encoding="utf-8")
        done = subprocess.run(
            [
                browser,
                *HEADLESS,
                "--virtual-time-budget=5000",
                f"--user-data-dir={folder}/profile",
                "--dump-dom",
                path.as_uri(),
            ],
            capture_output=True,
            text=True,
            check=True,
        )
    match = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert match, "the script of the test did not come to its end"
    import html

    found: dict[str, Any] = json.loads(html.unescape(match.group(1)))
    return found
