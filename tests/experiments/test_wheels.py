"""The wheels for a machine without a network: which ones, for which Python, and how many bytes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from experiments.latency import wheels

NAMES = {
    "diffusers": "diffusers-0.42.1-py3-none-any.whl",
    "importlib_metadata": "importlib_metadata-9.1.0-py3-none-any.whl",
    "hydra_core": "hydra_core-1.3.8-py3-none-any.whl",
    "omegaconf": "omegaconf-2.3.1-py3-none-any.whl",
    "open_clip_torch": "open_clip_torch-3.3.0-py3-none-any.whl",
    "ftfy": "ftfy-6.3.1-py3-none-any.whl",
    "wcwidth": "wcwidth-0.9.4-cp310-abi3-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
    "rich": "rich-15.0.0-py3-none-any.whl",
    "antlr4": "antlr4_python3_runtime-4.9.3-py3-none-any.whl",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in NAMES.values():
        (tmp_path / name).write_bytes(b"wheel")
    return tmp_path


def test_a_whole_set_has_no_fault(folder: Path) -> None:
    assert wheels.faults(folder, checkout_bytes=1 << 20) == []


def test_missing_unknown_and_foreign_wheels_are_named(folder: Path) -> None:
    (folder / NAMES["ftfy"]).unlink()
    (folder / NAMES["wcwidth"]).rename(folder / "wcwidth-0.9.4-cp311-cp311-win_amd64.whl")
    (folder / "mlflow-3.17.2-py3-none-any.whl").touch()
    assert wheels.faults(folder, 0) == [
        "ftfy==6.3.1: is missing",
        "mlflow: is not in the list",
        "wcwidth-0.9.4-cp311-cp311-win_amd64.whl: is not for Python 3.12 on x86-64; name another "
        "version",
    ]


def test_what_cannot_be_carried_is_too_large(folder: Path) -> None:
    (line,) = wheels.faults(folder, checkout_bytes=wheels.MAX_BYTES)
    assert line == "64 MiB with the checkout: more than 64 MiB"


def test_every_version_is_exact_and_the_platform_is_the_other_machines() -> None:
    for pin in (*wheels.WHEELS, *wheels.BUILT):
        assert re.fullmatch(r"[\w-]+==[\d.]+", pin)
    words = wheels.download_words(Path("there"))
    assert "--no-deps" in words and words[words.index("--python-version") + 1] == "3.12"
    assert "manylinux2014_x86_64" in words


def test_what_the_other_machine_lacks_is_named_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(wheels, "THERE", ("torch", "no-such-package"))
    monkeypatch.setattr(wheels, "WHEELS", ("diffusers==0.42.1", "no_such_wheel==1.0"))
    assert wheels.main(["--missing"]) == 1
    assert capsys.readouterr().err == (
        "wheels: not installed here: no-such-package, no_such_wheel\n"
    )
    monkeypatch.undo()
    assert wheels.main(["--missing"]) == 0, "this environment has everything that a run imports"
