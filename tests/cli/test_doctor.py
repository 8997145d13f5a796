"""What this machine can run, and why not."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.test_architecture import heavy_after
from turbo_lab import environment
from turbo_lab.cli.main import main


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
    assert found["extractor nano-clip"] == ["ok", "Apache-2.0"]
    status, why = found["model sdxl-turbo"]
    assert status == "note" and why.endswith("turbo-lab models get sdxl-turbo")
    counts = [int(n) for n in re.findall(r"(\d+) at T[01]", found["goldens"][1])]
    assert found["goldens"][0] == "ok" and sum(counts) == 14
    assert "clip_score" in found["baseline release"][1]
    assert "will be made" in found["store"][1]
    assert list(tmp_path.iterdir()) == []
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out.endswith("\nready\n")


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


def test_a_gpu_that_is_listed_and_cannot_be_used_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """nvidia-smi answers, and the driver's library is missing or broken: as in some containers."""
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'NVIDIA A10, 8.6, 470.57, 23028'\n")
    program.chmod(0o755)
    (tmp_path / "libcuda.so.1").write_text("not a library")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(environment, "torch_cuda_version", lambda: "13.2")
    for read in (environment.read_gpu, environment.read_cuda_driver):
        read.cache_clear()
    try:
        code, found = findings(capsys)
    finally:
        for read in (environment.read_gpu, environment.read_cuda_driver):
            read.cache_clear()
    assert (code, found["gpu"][0]) == (3, "problem")
    assert found["gpu"][1] == (
        "NVIDIA A10, sm_86, driver 470.57: cannot be used: the driver's library libcuda.so.1 "
        "cannot be loaded; repair the driver, or set device=cpu"
    )
