"""Self-contained HTML pages: one file, no network, safe with any text.

Owns escaping, the frame of a page and its assets. The content security policy of a page forbids
every request, so that a report from anywhere can be opened safely.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from turbo_lab import __version__

ASSETS = Path(__file__).parent / "assets"
_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'"
)
_SERVED = _POLICY.replace("img-src", "connect-src 'self'; img-src 'self'")
_LONG = 40  # rows that fit on a screen; longer tables scroll
_VOID = ("img", "input", "meta", "br")


class Heading(NamedTuple):
    """Heading of one column of a table."""

    name: str
    """Text of the heading."""
    is_number: bool = False
    """``True`` if the column holds numbers."""
    is_largest_first: bool = False
    """``True`` if the first click puts the largest value on top, because more is better."""


class Html(str):
    """Text that is already markup. Any other text is escaped."""

    __slots__ = ()


class Cell(Html):
    """A whole cell of a table, with its own attributes."""

    __slots__ = ()


def escape(value: object) -> Html:
    """Return a value as text for markup or for an attribute."""
    return value if isinstance(value, Html) else Html(html.escape(str(value)))


def tag(name: str, /, *children: object, **attributes: object) -> Html:
    """Return ``<name attributes>children</name>``.

    ``class_`` becomes ``class``. A child or attribute of ``None`` is left out.
    """
    parts = []
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        word = key.rstrip("_").replace("_", "-")
        parts.append(f" {word}" if value is True else f' {word}="{escape(value)}"')
    opening = f"<{name}{''.join(parts)}>"
    return Html(opening) if name in _VOID else Html(f"{opening}{join(*children)}</{name}>")


def join(*parts: object) -> Html:
    """Return the parts as one, each escaped unless it is markup; ``None`` is left out."""
    return Html("".join(escape(part) for part in parts if part is not None))


def data_uri(content: bytes, mime: str) -> str:
    """Return a file as an address that holds the file itself."""
    return f"data:{mime};base64,{base64.b64encode(content).decode('ascii')}"


def image(content: bytes, alt: str, mime: str = "image/png", **attributes: object) -> Html:
    """Return an image whose content is part of the page."""
    source = data_uri(content, mime)
    return tag("img", src=source, alt=alt, loading="lazy", decoding="async", **attributes)


def cell(content: object, value: object = None, **attributes: object) -> Cell:
    """Return a cell of a table. ``value``: sort key; ``None``: the cell's text."""
    return Cell(tag("td", content, data_value=value, **attributes))


def pill(verdict: str, words: str | None = None) -> Html:
    """Return a verdict in its colour, or other words for it."""
    return tag("span", verdict if words is None else words, class_=f"verdict {verdict}")


def table(
    columns: Sequence[Heading],
    rows: Iterable[Sequence[object]],
    attributes: Sequence[Mapping[str, object]] | None = None,
    identity: str | None = None,
    class_: str = "",
    is_sortable: bool = True,
) -> Html:
    """Return a table that can be sorted by its headings, where the page has the script.

    ``attributes``: HTML attributes of each row. A value that :func:`cell` made stays as it is. The
    class ``cards`` turns rows into blocks on a narrow screen.
    """
    heads = [_heading(column, is_sortable) for column in columns]
    lines = []
    for index, row in enumerate(rows):
        cells = [_cell(content, column) for content, column in zip(row, columns, strict=True)]
        lines.append(tag("tr", *cells, **(dict(attributes[index]) if attributes else {})))
    inner = tag(
        "table",
        tag("thead", tag("tr", *heads)),
        tag("tbody", *lines, id=identity),
        class_=f"{'sortable ' if is_sortable else ''}{class_}".strip(),
    )
    return tag("div", inner, class_=scroll_class(len(lines)))


def scroll_class(rows: int) -> str:
    """Return the class of a box that scrolls if it has many rows, so that a page stays short."""
    return "scroll long" if rows > _LONG else "scroll"


def _heading(column: Heading, is_sortable: bool) -> Html:
    content: object = column.name
    if column.name and is_sortable:
        content = tag("button", column.name, type="button")
    return tag(
        "th",
        content,
        class_="n" if column.is_number else None,
        scope="col",
        data_first="descending" if column.is_largest_first else None,
    )


def _cell(content: object, column: Heading) -> Cell:
    if isinstance(content, Cell):
        return content
    empty = content is None or content == ""
    return cell(
        "" if content is None else content,
        class_="n" if column.is_number else None,
        data_label=None if empty else column.name,
    )


def definitions(pairs: Iterable[tuple[object, object]]) -> Html:
    """Return a list of names with their values."""
    rows = [tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs]
    return tag("dl", *rows)


def section(identity: str, title: str, *body: object, note: object = None) -> Html:
    """Return a section that the navigation can link to."""
    return tag(
        "section",
        tag("h2", title),
        tag("p", note, class_="soft") if note else None,
        *body,
        id=identity,
    )


def page(
    title: str,
    verdict: str | None,
    *body: object,
    kind: str = "",
    links: Sequence[tuple[str, str]] = (),
    scripts: Sequence[str] = (),
    is_served: bool = False,
) -> str:
    """Return a whole HTML document.

    ``verdict``: shown next to the title in its colour. ``kind``: line above the title. ``links``:
    id and title of the sections in the navigation. ``scripts``: assets in addition to ``page.js``,
    without the suffix. ``is_served``: the scripts may ask the server of the page.
    """
    style = (ASSETS / "page.css").read_text(encoding="utf-8")
    code = [(ASSETS / f"{name}.js").read_text(encoding="utf-8") for name in ("page", *scripts)]
    policy = _SERVED if is_served else _POLICY
    head = [
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        tag("style", Html(style)),
    ]
    navigation = [tag("a", name, href=f"#{identity}") for identity, name in links]
    return "<!doctype html>\n" + tag(
        "html",
        tag("head", *head),
        tag(
            "body",
            _header(title, verdict, kind),
            tag("nav", *navigation, aria_label="sections") if links else None,
            tag("main", *body),
            tag("footer", f"turbo-lab {__version__}"),
            # Each script has its own scope, so that names do not clash.
            *(tag("script", Html(f"(() => {{\n{text}}})();\n")) for text in code),
        ),
        lang="en",
    )


def _header(title: str, verdict: str | None, kind: str) -> Html:
    return tag(
        "header",
        tag(
            "div",
            tag("p", kind, class_="kind") if kind else None,
            tag("h1", title),
            pill(verdict) if verdict else None,
        ),
        tag("button", type="button", class_="theme", aria_label="light or dark"),
    )
