"""What this machine can run, and why not."""

from __future__ import annotations

import json
import re
from importlib import metadata
from pathlib import Path

import pytest

from tests.test_architecture import heavy_after
from turbo_lab import environment
from turbo_lab.cli.main import main
from turbo_lab.environment import Gpu


def findings(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, list[str]]]:
    code = main(["doctor", *words, "--json"])
    values = json.loads(capsys.readouterr().out)
    assert values["kind"] == "doctor" and values["verdict"] == ("problem" if code else "ok")
    return code, {row["name"]: [row["status"], row["detail"]] for row in values["findings"]}


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_sound_installation_is_ready_and_nothing_is_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = findings(capsys)
    assert code == 0
    assert found["torch"] == ["ok", environment.package_version("torch")]
    assert found["model nano-turbo"] == ["ok", "Apache-2.0"]
    status, why = found["model sdxl-turbo"]
    assert status == "note" and "hf download stabilityai/sdxl-turbo" in why
    counts = [int(n) for n in re.findall(r"(\d+) at T[01]", found["goldens"][1])]
    assert found["goldens"][0] == "ok" and sum(counts) == 13
    assert "clip_score" in found["baseline release"][1]
    assert "will be made" in found["store"][1]
    assert list(tmp_path.iterdir()) == []
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out.endswith("\nready\n")


def test_what_is_wrong_is_named_with_what_to_do(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = {"torch": environment.ABSENT, "diffusers": "0.43.0"}
    real = environment.package_version
    monkeypatch.setattr(environment, "package_version", lambda n: versions.get(n) or real(n))
    monkeypatch.setattr(environment, "read_gpu", lambda: Gpu("H100", "9.0", "575", None))
    monkeypatch.setattr(environment, "torch_cuda_version", lambda: None)
    code, found = findings(capsys)
    assert code == 3
    assert found["torch"][0] == "problem" and "needs >=2.13" in found["torch"][1]
    assert found["diffusers"][0] == "note" and "0.43.0, outside" in found["diffusers"][1]
    assert found["gpu"] == ["note", "H100, but this torch is CPU-only: install another"]
    # Other versions are the upgrade question; the goldens' CPU may be another, too.
    status, text = found["goldens"]
    assert status == "ok" and text.startswith("13 at T1 (other ")
    assert {"cuda", "diffusers", "torch"} <= set(
        text.strip(")").replace("(other ", ", ").split(", ")
    )


def test_a_damaged_baseline_is_a_problem(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "baselines").mkdir()
    (tmp_path / "baselines" / "mine.json").write_text("{")
    code, found = findings(capsys)
    assert (code, found["baseline mine"][0]) == (3, "problem")
    assert "is damaged" in found["baseline mine"][1]


def test_a_store_that_cannot_be_written_to_is_a_problem(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    code, found = findings(capsys, "store=file")
    assert (code, found["store"][0]) == (3, "problem")


def test_unknown_words_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "now"]) == 2
    assert "doctor: now: unexpected" in capsys.readouterr().err


def test_no_torch_is_imported(tmp_path: Path) -> None:
    code = "from turbo_lab.cli.main import main\nassert main(['doctor']) == 0"
    assert heavy_after(code, tmp_path) == []


def test_memory_needed_is_shown_next_to_what_is_there(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On an H200, SDXL's shape at 512x512 took 7.9, 10.8 and 22.8 GiB (8136 to 23319 MiB)."""
    monkeypatch.setattr(environment, "resolve_device", lambda device: "cuda")
    gpu = Gpu("NVIDIA H200", "9.0", "580", 139 << 30)
    monkeypatch.setattr(environment, "read_gpu", lambda: gpu)
    status, text = findings(capsys)[1]["memory sdxl-turbo-shape"]
    assert status == "ok" and "float16, 1, 4, 16 images per call: 512x512 about 7.6, 11, 23" in text
    assert "1024x1024 about" in text and text.endswith("; cuda has 139")
    monkeypatch.setattr(environment, "read_gpu", lambda: Gpu("T4", "7.5", "580", 4 << 30))
    status, text = findings(capsys)[1]["memory sdxl-turbo"]
    assert status == "note" and text.endswith("; cuda has 4")


def test_a_checkout_that_is_not_installed_is_still_looked_at(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr("turbo_lab.cli.doctor.metadata.requires", absent)
    code, found = findings(capsys)
    assert code == 0 and found["turbo-lab"][0] == "note"
