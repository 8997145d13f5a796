"""A page in Chromium that a test drives as a person does: keys, clicks, downloads, screenshots.

Speaks the DevTools protocol over a pipe, so that no port is opened and no package is needed.
"""

from __future__ import annotations

import base64
import fcntl
import itertools
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.report.browser import HEADLESS, needs_browser

_FLAGS = (*HEADLESS, "--hide-scrollbars", "--remote-debugging-pipe")
_PATIENCE_S = 60
_CODES = {
    "Enter": 13,
    "Escape": 27,
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowDown": 40,
    "Tab": 9,
}


class Tab:
    """One page in a browser of its own."""

    def __init__(self, to_browser: int, from_browser: int, folder: Path) -> None:
        self._to, self._from = to_browser, from_browser
        self._numbers, self._rest = itertools.count(1), b""
        self.downloads = folder
        """Folder of what the page saves."""
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session: str | None = None
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        self._call("Page.enable")

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if getattr(self, "_session", None):
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            found = self._message()
            if found.get("id") == number:
                assert "error" not in found, f"{method}: {found['error']}"
                result: dict[str, Any] = found["result"]
                return result

    def _message(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            read = os.read(self._from, 1 << 20)
            assert read, "the browser ended"
            self._rest += read
        text, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        return message

    def size(self, width: int, height: int, *, dark: bool = False, scale: float = 1) -> None:
        """Set the size of the window, and the system's theme."""
        self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=False,
        )
        theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[theme])

    def before_scripts(self, script: str) -> None:
        """Run a script in every page that is opened from now on, before its own."""
        self._call("Page.addScriptToEvaluateOnNewDocument", source=script)

    def open(self, address: str) -> None:
        """Open a page and wait until its scripts have run."""
        self._call("Page.navigate", url=address)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def run(self, script: str) -> Any:
        """Return the value of an expression in the page."""
        found = self._call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, condition: str) -> None:
        """Wait until an expression in the page is true."""
        end = time.monotonic() + _PATIENCE_S
        while not self.run(f"Boolean({condition})"):
            assert time.monotonic() < end, f"never true: {condition}"
            time.sleep(0.02)

    def press(self, *keys: str) -> None:
        """Press keys as a person does: the page cannot distinguish them."""
        for key in keys:
            text = key if len(key) == 1 else "\r" if key == "Enter" else ""
            code = _CODES.get(key, 0)
            given = {"key": key, "windowsVirtualKeyCode": code}
            self._call("Input.dispatchKeyEvent", type="keyDown", text=text, **given)
            self._call("Input.dispatchKeyEvent", type="keyUp", **given)

    def choose(self, selector: str, value: str) -> None:
        """Choose a value of a select, or type a text into an input."""
        self.run(
            f"(() => {{ const to = document.querySelector({json.dumps(selector)});"
            f"to.value = {json.dumps(value)};"
            "for (const name of ['input', 'change'])"
            "to.dispatchEvent(new Event(name, {bubbles: true})); })()"
        )

    def click(self, selector: str) -> None:
        """Click the middle of an element with the mouse."""
        at = self.run(
            f"(() => {{ const to = document.querySelector({json.dumps(selector)});"
            "to.scrollIntoView({block: 'center'}); const box = to.getBoundingClientRect();"
            "return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self._call(
                "Input.dispatchMouseEvent", type=kind, x=at[0], y=at[1], button="left", clickCount=1
            )

    def saves(self, folder: Path) -> None:
        """Keep what the page saves in a folder."""
        self.downloads = folder
        session, self._session = self._session, None
        self._call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
        self._session = session

    def saved(self, name: str) -> Path:
        """Return a file that the page saves, as soon as it is there."""
        path, end = self.downloads / name, time.monotonic() + _PATIENCE_S
        while not path.exists():
            assert time.monotonic() < end, f"{name}: was not saved"
            time.sleep(0.02)
        return path

    def screenshot(self, path: Path) -> None:
        """Save what is in view as a PNG."""
        found = self._call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(found["data"]))


def _pipe() -> tuple[int, int]:
    """Return the ends of a pipe, neither of them at the numbers that the browser expects."""
    ends = os.pipe()
    high = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends]
    for end in ends:
        os.close(end)
    return high[0], high[1]


@contextmanager
def tab() -> Iterator[Tab]:
    """Start a browser with one empty page, and end it afterwards."""
    browser = needs_browser()
    (page_in, to_browser), (from_browser, page_out) = _pipe(), _pipe()
    shell = f'exec "$@" 3<&{page_in} 4>&{page_out}'
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        process = subprocess.Popen(
            ["bash", "-c", shell, "bash", browser, *_FLAGS, f"--user-data-dir={folder}/profile"],
            pass_fds=(page_in, page_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(page_in)
        os.close(page_out)
        try:
            yield Tab(to_browser, from_browser, Path(folder))
        finally:
            process.terminate()
            process.wait()
            os.close(to_browser)
            os.close(from_browser)
