"""``turbo-lab models get``: from a hub on this machine, by the hub's own client."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.contract.shapes import differences
from turbo_lab.cards.card import vae_card
from turbo_lab.cli.main import main
from turbo_lab.workflows.download import downloads

CARD = vae_card("taesdxl")
CONTRACT = Path(__file__).parents[2] / "contract" / "documents.json"
COMMIT = "d" * 40
FILES = {
    "config.json": b'{"_class_name": "AutoencoderTiny"}',
    "diffusion_pytorch_model.safetensors": b"\x02\0\0\0\0\0\0\0{}",
    "README.md": b"not asked for",
}


class Hub(BaseHTTPRequestHandler):
    """The answers of the hub that a download needs."""

    def do_HEAD(self) -> None:
        """Describe a file."""
        self._answer(body=False)

    def do_GET(self) -> None:
        """Describe the repository, or send a file."""
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        path = self.path.partition("?")[0]
        if path.startswith(f"/api/models/{CARD.repository}/revision/"):
            names = [{"rfilename": name} for name in FILES]
            values = {"id": CARD.repository, "sha": COMMIT, "siblings": names}
            content, kind = json.dumps(values).encode(), "application/json"
        elif path == f"/api/models/{CARD.repository}/tree/{COMMIT}":
            tree = [
                {"type": "file", "path": name, "size": len(value), "oid": "0" * 40}
                for name, value in FILES.items()
            ]
            content, kind = json.dumps(tree).encode(), "application/json"
        elif path.startswith(f"/{CARD.repository}/resolve/{COMMIT}/"):
            content, kind = FILES[path.rpartition("/")[2]], "application/octet-stream"
        else:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent."""


@pytest.fixture
def hub() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def get(hub: str, cache: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own: the client reads its settings on import."""
    names = {"HF_ENDPOINT": hub, "HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "0"}
    code = "import sys; from turbo_lab.cli.main import main; sys.exit(main(sys.argv[1:]))"
    return subprocess.run(
        [sys.executable, "-c", code, "models", "get", *words],
        env=os.environ | names,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def test_the_files_of_a_card_are_fetched(hub: str, tmp_path: Path) -> None:
    done = get(hub, tmp_path, "taesdxl", "--yes")
    assert done.returncode == 0, done.stderr
    assert "licence  mit" in done.stderr and f"read in  {CARD.license_source}" in done.stderr
    folder = tmp_path / "models--madebyollin--taesdxl" / "snapshots" / COMMIT
    assert {path.name for path in folder.iterdir()} == set(FILES) - {"README.md"}


def test_a_repository_that_is_not_there_is_one_line(hub: str, tmp_path: Path) -> None:
    done = get(hub, tmp_path, "sdxl-vae-fp16-fix", "--yes")
    assert done.returncode == 3
    said = [line for line in done.stderr.splitlines() if line.startswith("turbo-lab: ")]
    assert len(said) == 1 and "models get: madebyollin/sdxl-vae" in said[0]


def test_nothing_is_fetched_unasked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "get", "taesdxl"]) == 2
    said = capsys.readouterr()
    assert "licence  mit" in said.err and "add --yes to accept" in said.err
    assert said.out == ""
    assert main(["models", "get", "taesdxl", "--yes"]) == 2
    assert "HF_HUB_OFFLINE is set" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nano-turbo", "ships with turbo-lab; there is nothing to fetch"),
        ("local", "model=local: unknown"),
        ("sdxl-turb", "Did you mean sdxl-turbo?"),
    ],
)
def test_what_cannot_be_fetched(
    name: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "get", name, "--yes"]) == 2
    assert message in capsys.readouterr().err


def test_a_model_needs_its_base_and_its_adapter() -> None:
    found = {str(one.card.repository): one for one in downloads("sdxl-lightning-4step")}
    assert set(found) == {"ByteDance/SDXL-Lightning", "stabilityai/stable-diffusion-xl-base-1.0"}
    assert found["ByteDance/SDXL-Lightning"].files == ("sdxl_lightning_4step_unet.safetensors",)
    both = {str(one.card.repository) for one in downloads("dmd2-sdxl-4step")}
    assert both == {"stabilityai/stable-diffusion-xl-base-1.0", "tianweiy/DMD2"}


def test_what_was_fetched_is_one_document(hub: str, tmp_path: Path) -> None:
    done = get(hub, tmp_path, "taesdxl", "--yes", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    contract = json.loads(CONTRACT.read_text("utf-8"))["models get"]
    assert differences(document, contract) == []
    (found,) = document["repositories"]
    assert found["repository"] == CARD.repository and found["license"] == "mit"
    assert found["files"] == ["config.json", "diffusion_pytorch_model.safetensors"]
    folder = tmp_path / "models--madebyollin--taesdxl" / "snapshots" / COMMIT
    assert Path(found["path"]) == folder
