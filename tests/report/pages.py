"""Scripts in a page, with a few helpers for them."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.report.browser import run_in_page

HELPERS = """
const $ = (q) => document.querySelector(q), all = (q) => [...document.querySelectorAll(q)];
const column = (i) => [...$("#cells").rows].map((r) =>
  r.cells[i].textContent.replaceAll("\u2013", "-"));
const press = (to, key) => to.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
const input = (to, value) => {
  to.value = value; to.dispatchEvent(new Event("input", {bubbles: true}));
};
"""


def in_page(page: str, script: str) -> dict[str, Any]:
    """Run a script in a page that must raise no error, and return the values that it found."""
    found = run_in_page(page, HELPERS + script)
    assert found.pop("errors") == []
    return found


def data_of(page: str) -> dict[str, Any]:
    """Return what the scripts of a sweep's page know."""
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page)
    found: dict[str, Any] = json.loads(text)
    return found
