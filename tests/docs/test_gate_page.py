"""``docs/gate.md``: the commands that set up an upgrade by hand."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
FREE = {"diffusers", "huggingface-hub", "httpx2", "truststore"}
"""Packages whose versions follow from that of diffusers."""


def test_the_versions_of_an_upgrade_are_those_of_the_lock_file_without_hashes(
    tmp_path: Path,
) -> None:
    page, lock = (ROOT / "docs" / "gate.md").read_text(), ROOT / "requirements.lock"
    (line,) = (text for text in page.splitlines() if text.endswith("> versions.txt"))
    command = line.replace("requirements.lock", str(lock))
    subprocess.run(["bash", "-c", command], cwd=tmp_path, check=True)
    pins = (tmp_path / "versions.txt").read_text().splitlines()
    locked = re.findall(r"^([a-z]\S*==\S+)", lock.read_text(), re.MULTILINE)
    assert pins == [pin for pin in locked if pin.partition("==")[0] not in FREE]
    assert {pin.partition("==")[0] for pin in locked} >= FREE
    for version in ("old", "new"):
        assert f"{version}/bin/pip install -c versions.txt dist/turbo_lab-*.whl diffusers==" in page
