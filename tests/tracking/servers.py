"""HTTP servers on loopback that behave badly."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server(ThreadingHTTPServer):
    """A server that answers every request in one way; see its subclasses of handlers."""

    daemon_threads = True

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.logins: list[str] = []
        """User and password of each request, as ``user:password``."""
        self.artifact_uri = ""
        """Place of artifacts that :class:`Lying` names."""
        self.closing = threading.Event()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        _, _, login = self.headers.get("Authorization", "").partition("Basic ")
        self.server.logins.append(base64.b64decode(login).decode())
        self.answer()

    do_POST = do_PUT = do_PATCH = do_GET

    def answer(self) -> None:
        raise NotImplementedError

    def log_message(self, *_: object) -> None:
        """Say nothing on standard error."""


class Dripping(_Handler):
    """Sends a byte at a time, for ever: no read of a client ever times out."""

    def answer(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        try:
            while not self.server.closing.wait(0.1):
                self.wfile.write(b" ")
        except OSError:  # the client has gone
            self.close_connection = True


class Refusing(_Handler):
    """Refuses every request for its login."""

    def answer(self) -> None:
        self.send_error(401)


class Lying(_Handler):
    """Names a folder of the client's machine as the place of every run's artifacts."""

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        uri = self.server.artifact_uri
        info = {"run_id": "a" * 32, "experiment_id": "1", "status": "RUNNING", "artifact_uri": uri}
        answers = {
            "experiments/get-by-name": {
                "experiment": {"experiment_id": "1", "name": "turbo-lab", "artifact_location": uri}
            },
            "runs/create": {"run": {"info": info, "data": {}}},
            "runs/get": {"run": {"info": info, "data": {}}},
            "runs/update": {"run_info": info},
        }
        found = (answer for name, answer in answers.items() if name in self.path)
        content = json.dumps(next(found, {})).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def serving(handler: type[_Handler]) -> Iterator[Server]:
    """Serve on a free port of the loopback interface."""
    with Server(handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.closing.set()
        server.shutdown()
