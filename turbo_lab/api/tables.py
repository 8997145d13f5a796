"""Results as HTML for notebooks: the tables of the report pages, without their scripts."""

from __future__ import annotations

from collections.abc import Sequence

from turbo_lab.documents.gate import CheckResult
from turbo_lab.documents.sweep import CellResult
from turbo_lab.report.columns import columns, varying_axes
from turbo_lab.report.html.page import Heading, Html, join, pill, table, tag
from turbo_lab.report.html.table import metric_table
from turbo_lab.report.markdown import difference, note, number

# The theme of a notebook styles the rest.
_STYLE = Html(
    ".turbo-lab .n{text-align:right;white-space:nowrap}"
    ".turbo-lab .ci{margin-left:.6em;font-size:85%;opacity:.7}"
    ".turbo-lab .best{font-weight:bold}"
    ".turbo-lab .level{text-decoration:underline dotted}"
    ".turbo-lab .verdict{font-weight:bold}"
)
_CHECK_HEADINGS = (
    Heading("check"),
    Heading("verdict"),
    Heading("candidate", is_number=True),
    Heading("baseline", is_number=True),
    Heading("difference (95%)", is_number=True),
    Heading("margin", is_number=True),
    Heading("n", is_number=True),
    Heading("note"),
)


def sweep_html(title: str, cells: Sequence[CellResult]) -> str:
    """Return a title and one row per cell with its metrics."""
    return _framed(title, metric_table(cells, varying_axes(cells), columns(cells), is_page=False))


def checks_html(title: str, checks: Sequence[CheckResult]) -> str:
    """Return a title and one row per check."""
    rows = [
        (
            check.name,
            pill(check.verdict),
            number(check.value),
            number(check.baseline),
            difference(check),
            number(check.margin),
            check.n,
            note(check),
        )
        for check in checks
    ]
    return _framed(title, table(_CHECK_HEADINGS, rows, is_sortable=False))


def plain_html(title: str, heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a title and a table of texts."""
    return _framed(title, table([Heading(name) for name in heads], rows, is_sortable=False))


def _framed(title: str, content: Html) -> str:
    body = join(tag("style", _STYLE), tag("p", tag("strong", title)), content)
    return str(tag("div", body, class_="turbo-lab"))
