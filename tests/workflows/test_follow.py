"""The server of a sweep's page: what it answers, to whom, and how the page fills up."""

from __future__ import annotations

import http.client
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.recipes import record
from tests.report.devtools import tab
from tests.report.pages import data_of
from tests.report.results import STORE_FINGERPRINT, store_with_sweeps, sweep_of
from turbo_lab.documents.cut_off import BegunCell, BegunSweep
from turbo_lab.documents.document import to_document
from turbo_lab.errors import InputError
from turbo_lab.store.store import Store
from turbo_lab.workflows.follow import FollowedSweep, PageServer, find_followed

RUNNING = "abc123"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store with a finished sweep, and one that has begun and drawn nothing yet."""
    monkeypatch.chdir(tmp_path)
    found = store_with_sweeps(tmp_path / "turbo-lab-store", "abd456")
    cells = tuple(BegunCell({"num_inference_steps": steps}, (), (f"b{steps}",)) for steps in (1, 2))
    found.begin_sweep(RUNNING, BegunSweep(RUNNING, 2, cells))
    return found


@pytest.fixture
def server(store: Store) -> Iterator[PageServer]:
    with PageServer(FollowedSweep(*find_followed(None, None))) as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def ask(
    server: PageServer, path: str, method: str = "GET", **headers: str
) -> tuple[int, bytes, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    connection.request(
        method, path, headers={name.replace("_", "-"): v for name, v in headers.items()}
    )
    answer = connection.getresponse()
    found = answer.status, answer.read(), answer.headers
    connection.close()
    return found


def draw(store: Store, steps: int) -> None:
    """Record one cell of the running sweep, as its process would."""
    store.write_record(record(record_id=f"b{steps}", cell_id="c0", fingerprint=STORE_FINGERPRINT))


def test_the_newest_sweep_is_followed_and_any_other_by_name(store: Store) -> None:
    assert find_followed(None, None)[1].sweep_id == RUNNING
    assert find_followed("abd", None)[1].sweep_id == "abd456"
    document = store.sweep_files("abd456").document
    assert find_followed(str(document), None)[1].sweep_id == "abd456"
    for name, message in (("ab", "matches 2 sweeps"), ("ff", "sweep=ff: unknown")):
        with pytest.raises(InputError, match=message):
            find_followed(name, None)
    with pytest.raises(InputError, match="elsewhere: has no sweeps yet"):
        find_followed(None, "elsewhere")


def test_it_fills_up_and_says_when_there_is_news(store: Store, server: PageServer) -> None:
    status, page, headers = ask(server, "/")
    assert status == 200 and data_of(page.decode())["cells"] == []
    assert "connect-src &#x27;self&#x27;" in page.decode() and ">unfinished<" in page.decode()
    etag = headers["ETag"]
    assert ask(server, "/state.json", If_None_Match=etag)[:2] == (304, b"")
    draw(store, 1)
    status, text, headers = ask(server, "/state.json", If_None_Match=etag)
    state = json.loads(text)
    assert status == 200 and headers["ETag"] != etag
    assert [cell["record_id"] for cell in state["data"]["cells"]] == ["b1"]
    assert "1 of 2" in state["summary"] and state["verdict"] == "unfinished"


def test_a_finished_sweep_has_its_images_by_their_pixels_only(store: Store) -> None:
    with PageServer(FollowedSweep(*find_followed("abd", None))) as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        try:
            data = data_of(ask(found, "/")[1].decode())
            image = data["cells"][0]["images"][1]
            address = data["addresses"][image["thumb"]]
            assert address == f"image/{image['sha256']}"
            status, content, headers = ask(found, f"/{address}")
            assert (status, headers["Content-Type"]) == (200, "image/png")
            assert content.startswith(b"\x89PNG")
            full = ask(found, f"/full/{image['sha256']}")[1]
            assert full == Path(image["file"]).read_bytes()
            for path in ("/image/../store.json", "/full/store.json", "/image/", "/store.json"):
                assert ask(found, path)[0] == 404
        finally:
            found.shutdown()
            thread.join()


def test_another_name_of_this_machine_is_refused(server: PageServer) -> None:
    port = server.server_port
    assert ask(server, "/", Host=f"localhost:{port}")[0] == 200
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1"):
        assert ask(server, "/", Host=host)[:2] == (403, b"forbidden\n")


def test_nothing_can_be_written(server: PageServer) -> None:
    assert ask(server, "/", "HEAD")[:2] == (200, b"")
    for method in ("POST", "PUT", "DELETE"):
        assert ask(server, "/", method)[0] == 501
    assert server.server_address[0] == "127.0.0.1"


def test_a_port_that_is_taken_is_one_line(server: PageServer, store: Store) -> None:
    with pytest.raises(InputError, match=rf"--port {server.server_port}: cannot be used"):
        PageServer(server.followed, server.server_port)


def test_the_page_in_a_browser_fills_up_and_keeps_what_was_chosen(
    store: Store, server: PageServer
) -> None:
    with tab() as page:
        page.before_scripts("window.errors=[];addEventListener('error',e=>errors.push(e.message))")
        page.open(server.address)
        assert page.run("document.querySelector('#grid').textContent") == "There are no images yet."
        page.choose("#filter input", "steps")
        draw(store, 1)
        page.wait("document.querySelectorAll('#cells tr').length === 1")
        assert page.run("document.querySelector('#filter input').value") == "steps"
        sweep = replace(sweep_of(store, store.root / "batches"), sweep_id=RUNNING)
        path = store.sweep_files(RUNNING).document
        store.write_document(path, to_document("sweep", sweep))
        page.wait("document.querySelector('header .verdict').textContent === 'incomplete'")
        page.wait(
            "document.querySelectorAll('.tile').length === 12 || "
            "document.querySelectorAll('[role=tab]').length === 3"
        )
        page.run("document.querySelector('.tile img').scrollIntoView()")
        page.wait("document.querySelector('.tile img').naturalWidth === 64")
        assert page.run("document.querySelector('.tile img').src").startswith(server.address)
        assert page.run("errors") == []


def test_the_id_is_named_in_the_page(server: PageServer) -> None:
    assert re.search(rf"sweep {RUNNING}", ask(server, "/")[1].decode())
