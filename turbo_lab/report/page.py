"""Self-contained HTML pages: one file, no network, safe with any text.

Owns escaping, the page's frame and its assets. A page forbids itself every
request (content security policy), so a report may be opened from anywhere.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence
from pathlib import Path

ASSETS = Path(__file__).parent / "assets"
_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'"
)


class Html(str):
    """Text that is markup already; any other text is escaped."""

    __slots__ = ()


def escape(value: object) -> Html:
    """A value as text within markup or an attribute."""
    return value if isinstance(value, Html) else Html(html.escape(str(value)))


def tag(name: str, /, *children: object, **attributes: object) -> Html:
    """``<name attributes>children</name>``; ``class_`` is class, ``None`` leaves out."""
    parts = []
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        word = key.rstrip("_").replace("_", "-")
        parts.append(f" {word}" if value is True else f' {word}="{escape(value)}"')
    opening = f"<{name}{''.join(parts)}>"
    if name in ("img", "input", "meta", "br"):
        return Html(opening)
    return Html(f"{opening}{join(children)}</{name}>")


def join(parts: Iterable[object]) -> Html:
    """One after the other, each escaped unless it is markup."""
    return Html("".join(escape(part) for part in parts if part is not None))


def image(png: bytes, alt: str, **attributes: object) -> Html:
    """An image inside the page."""
    source = "data:image/png;base64," + base64.b64encode(png).decode("ascii")
    return tag("img", src=source, alt=alt, loading="lazy", decoding="async", **attributes)


def table(
    columns: Sequence[tuple[str, bool]],
    rows: Iterable[Sequence[object]],
    row_texts: Sequence[str] | None = None,
    identity: str | None = None,
) -> Html:
    """A table that sorts by its headings. ``columns``: (heading, whether it holds numbers).

    A cell that is a :func:`tag` of ``td`` stays as it is.
    """
    heads = [
        tag("th", tag("button", name, type="button"), class_="n" if number else None, scope="col")
        for name, number in columns
    ]
    lines = []
    for index, row in enumerate(rows):
        cells = [
            cell
            if isinstance(cell, Html) and cell.startswith("<td")
            else tag("td", cell, class_="n" if number else None)
            for cell, (_, number) in zip(row, columns, strict=True)
        ]
        lines.append(tag("tr", *cells, data_text=row_texts[index] if row_texts else None))
    body = tag("tbody", *lines, id=identity)
    return tag(
        "div", tag("table", tag("thead", tag("tr", *heads)), body, class_="sortable"),
        class_="scroll",
    )  # fmt: skip


def page(title: str, verdict: str | None, *body: object) -> str:
    """A whole document. ``verdict`` stands beside the title in its colour."""
    style = (ASSETS / "page.css").read_text(encoding="utf-8")
    script = (ASSETS / "page.js").read_text(encoding="utf-8")
    head = [
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        tag("style", Html(style)),
    ]
    header = tag(
        "header",
        tag("h1", title),
        tag("span", verdict, class_=f"verdict {verdict}") if verdict else None,
        tag("button", "light / dark", type="button", class_="theme"),
    )
    return "<!doctype html>\n" + tag(
        "html",
        tag("head", *head),
        tag("body", header, *body, tag("script", Html(script))),
        lang="en",
    )
