"""The page of a sweep that is still running, on this machine's own address.

Owns what the server of ``report --follow`` shows and to whom: read only, images of this sweep
only, and nothing to a page of another site. The page fills up as cells are recorded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from turbo_lab.documents.cut_off import BegunSweep
from turbo_lab.documents.sweep import RowsDone, SweepResult, SweepWork
from turbo_lab.errors import InputError, StoreError, TurboLabError, unknown_name
from turbo_lab.identity import sha256_text
from turbo_lab.store.layout import DEFAULT_STORE, StoreLayout, SweepFiles, store_around
from turbo_lab.store.store import Store
from turbo_lab.untrusted.paths import read_regular
from turbo_lab.untrusted.typed_json import to_plain
from turbo_lab.workflows.sweep_report import cell_details, read_sweep

if TYPE_CHECKING:
    from turbo_lab.report.html.explorer import Shown
    from turbo_lab.report.html.pictures import Picture

HOST = "127.0.0.1"
_NAMES = (HOST, "localhost")
_NO_ROWS = RowsDone(alone=0, done=0)


@dataclass(frozen=True)
class Answer:
    """One answer of the server."""

    content: bytes
    """Body of the answer."""
    mime: str
    """MIME type of the body."""
    etag: str | None = None
    """Name of this version of the body. ``None``: it never changes."""


def find_followed(name: str | None, store: str | None) -> tuple[Store, SweepFiles]:
    """Return a store and the files of its sweep, finished or not; ``None``: of its newest one.

    Raises :class:`InputError`.
    """
    around = None if name is None else store_around(Path(name))
    root = around or Path(store or DEFAULT_STORE)
    layout = StoreLayout(root.resolve())
    known = [one for one in layout.sweeps() if one.document.exists() or one.begun.exists()]
    if not known:
        raise InputError(f"{root}: has no sweeps yet; start one, then follow it, or set store=DIR")
    opened = Store.existing(layout.root)
    if name is None:
        return opened, max(known, key=_changed_ns)
    wanted = Path(name).resolve().parent.name if around else name
    found = [one for one in known if wanted and one.sweep_id.startswith(wanted)]
    if len(found) > 1:
        ids = ", ".join(one.sweep_id for one in found)
        raise InputError(f"{name}: matches {len(found)} sweeps ({ids}); give more digits of one")
    if not found:
        raise unknown_name("sweep", wanted, [one.sweep_id for one in known])
    return opened, found[0]


def _changed_ns(files: SweepFiles) -> int:
    """Return when a sweep began or ended last."""
    return max(_mtime_ns(files.begun) or 0, _mtime_ns(files.document) or 0)


def _mtime_ns(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return None


class FollowedSweep:
    """A sweep as its page shows it now. It is read again only when the store has news of it."""

    def __init__(self, store: Store, files: SweepFiles, shown: int | None = None) -> None:
        """Follow a sweep. ``shown``: most images per cell; ``None``: their number decides."""
        self.store, self.files, self._shown = store, files, shown
        self._heads: dict[str, Picture] = {}
        self._images: dict[str, Path] = {}
        self._stamp: object = None
        self._page, self._state = Answer(b"", ""), Answer(b"", "")
        self._lock = Lock()

    def answer(self, path: str) -> Answer | None:
        """Return what is at a path of the server; ``None``: nothing is."""
        if path in ("/", "/state.json"):
            with self._lock:
                self._refresh()
                return self._page if path == "/" else self._state
        kind, _, name = path.strip("/").partition("/")
        file = self._images.get(name)
        if file is None or kind not in ("image", "full"):
            return None
        return _image(file, is_full=kind == "full")

    def _refresh(self) -> None:
        is_running = self._is_running()
        stamp = (is_running, _changed_ns(self.files), self._records() if is_running else None)
        if stamp == self._stamp:
            return
        from turbo_lab.report.html.sweep import sweep_page, whole_page

        sweep = self._sweep(is_running)
        page = sweep_page(sweep, self._shown_of(sweep), is_running)
        text = whole_page(page, sweep.sweep_id, script="follow")
        plain: Mapping[str, object] = {
            "title": page.title,
            "verdict": page.verdict,
            "summary": page.summary,
            "filter": page.filter,
            "sections": page.sections,
            "data": page.data,
        }
        state = json.dumps(to_plain(plain), allow_nan=False)
        tag = f'"{sha256_text(state)[:32]}"'
        self._page = Answer(text.encode(), "text/html; charset=utf-8", tag)
        self._state = Answer(state.encode(), "application/json", tag)
        self._stamp = stamp

    def _is_running(self) -> bool:
        """Return whether the sweep began after it ended last, or never ended."""
        begun, ended = _mtime_ns(self.files.begun), _mtime_ns(self.files.document)
        return ended is None or (begun is not None and begun > ended)

    def _records(self) -> tuple[str, ...]:
        """Return the records that are there, with the number of their timings."""
        begun = BegunSweep.read(self.store, self.files.begun)
        found = []
        for name in (name for cell in begun.cells for name in cell.records):
            if self.store.record_path(name).exists():
                timings = self.store.layout.timings(name)
                found.append(f"{name} {len(list(timings.glob('*')))}")
        return tuple(found)

    def _sweep(self, is_running: bool) -> SweepResult:
        if not is_running:
            return read_sweep(self.files.document, str(self.store.root))
        found = BegunSweep.read(self.store, self.files.begun).cut_off(self.store)
        return SweepResult(
            sweep_id=found.sweep_id,
            store=found.store,
            tracking_uri=None,
            load_s=0.0,
            wall_s=0.0,
            metrics_s=0.0,
            timing_s=0.0,
            tracking_s=0.0,
            counts=found.counts,
            work=SweepWork(_NO_ROWS, _NO_ROWS, _NO_ROWS),
            cells=found.cells,
        )

    def _shown_of(self, sweep: SweepResult) -> Shown:
        from turbo_lab.report.html.explorer import Shown
        from turbo_lab.report.html.pictures import (
            picture_head,
            pictures_per_cell,
            read_sources,
        )

        limit = pictures_per_cell(sweep.counts.distinct) if self._shown is None else self._shown
        for image in (image for cell in sweep.cells for image in cell.images[:limit]):
            path = str(image.path)
            if path not in self._heads and image.path.is_file():
                self._heads[path] = picture_head(image.path)
                self._images[image.pixel_sha256] = image.path
        return Shown(
            details=cell_details(sweep),
            pictures=self._heads,
            sources=read_sources(sweep.cells, limit),
            address=lambda image, _: f"image/{image.pixel_sha256}",
        )


def _image(file: Path, is_full: bool) -> Answer | None:
    """Return an image as a page shows it, or its file; ``None`` if it is gone or damaged."""
    from turbo_lab.report.html.pictures import read_picture

    try:
        if is_full:
            return Answer(read_regular(file, error=StoreError), "image/png")
        picture = read_picture(file)
    except (StoreError, OSError):
        return None
    return Answer(picture.content, picture.mime)


class PageServer(ThreadingHTTPServer):
    """A server on the loopback address that shows one sweep."""

    daemon_threads = True

    def __init__(self, followed: FollowedSweep, port: int = 0) -> None:
        """Listen on a port; 0: any free one. Raises :class:`InputError` if it is taken."""
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as error:
            raise InputError(
                f"--port {port}: cannot be used ({error.strerror}); leave it out for a free one"
            ) from error
        self.followed = followed

    @property
    def address(self) -> str:
        """Address of the page."""
        return f"http://{HOST}:{self.server_port}/"


class _Handler(BaseHTTPRequestHandler):
    """Answers of the server: GET and HEAD only, and only to its own pages."""

    server: PageServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Send what is at the path."""
        self._send(has_body=True)

    def do_HEAD(self) -> None:
        """Send the header of what is at the path."""
        self._send(has_body=False)

    def _send(self, has_body: bool) -> None:
        # A site elsewhere may let its name lead to this machine; it cannot change this header.
        if self.headers.get("Host") not in {f"{n}:{self.server.server_port}" for n in _NAMES}:
            self._reply(HTTPStatus.FORBIDDEN, Answer(b"forbidden\n", "text/plain"), has_body)
            return
        try:
            found = self.server.followed.answer(self.path.partition("?")[0])
        except TurboLabError as error:
            text = f"{error}\n".encode()
            self._reply(HTTPStatus.SERVICE_UNAVAILABLE, Answer(text, "text/plain"), has_body)
            return
        if found is None:
            self._reply(HTTPStatus.NOT_FOUND, Answer(b"not found\n", "text/plain"), has_body)
        elif found.etag is not None and self.headers.get("If-None-Match") == found.etag:
            self._reply(HTTPStatus.NOT_MODIFIED, Answer(b"", found.mime, found.etag), has_body)
        else:
            self._reply(HTTPStatus.OK, found, has_body)

    def _reply(self, status: HTTPStatus, answer: Answer, has_body: bool) -> None:
        self.send_response(status)
        self.send_header("Content-Type", answer.mime)
        self.send_header("Content-Length", str(len(answer.content)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Referrer-Policy", "no-referrer")
        if answer.etag is not None:
            self.send_header("ETag", answer.etag)
        is_fixed = status == HTTPStatus.OK and answer.etag is None
        self.send_header("Cache-Control", "max-age=86400" if is_fixed else "no-cache")
        self.end_headers()
        if has_body and status != HTTPStatus.NOT_MODIFIED:
            self.wfile.write(answer.content)

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing: the terminal is the user's."""
