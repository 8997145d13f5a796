"""Completion of commands, options, keys and values, as the shells ask for it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from turbo_lab.cli.completion import Bash
from turbo_lab.cli.main import main


def complete(
    line: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> list[str]:
    """Return what bash would offer for the last word of ``line``."""
    monkeypatch.setenv("_TURBO_LAB_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "\n".join(["turbo-lab", *line]))
    monkeypatch.setenv("COMP_CWORD", str(len(line)))
    assert main([]) == 0
    return [row.partition(",")[2] for row in capsys.readouterr().out.split()]


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        (["gen"], {"generate"}),
        (["golden", "ca"], {"calibrate"}),
        (["sweep", "--js"], {"--json"}),
        (["sweep", "num_im"], {"num_images="}),
        (["sweep", "seed=1", "guid"], {"guidance_scale="}),
        (["sweep", "model", "=", "nano-t"], {"nano-turbo"}),  # as bash splits it
        (["sweep", "model=nano-t"], {"model=nano-turbo"}),  # as zsh and fish leave it
        (["plan", "dtype", "="], {"float32", "float16", "bfloat16"}),
        (["plan", "lora", "=", "i"], {"ink"}),
        (["plan", "pipeline="], {"pipeline=exact", "pipeline=fast", "pipeline=stock"}),
        (["plan", "tf"], {"tf32="}),
        (["plan", "store", "=", "x"], set()),
    ],
)
def test_what_is_offered(
    line: list[str],
    offered: set[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert set(complete(line, monkeypatch, capsys)) == offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shells_script_is_printed(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    assert "_TURBO_LAB_COMPLETE" in capsys.readouterr().out


def test_bash_puts_no_space_after_a_key() -> None:
    """click's script still has the line that ours extends."""
    assert "compopt -o nospace" in Bash.source_template


def test_the_script_works_in_bash() -> None:
    script = """
        eval "$(turbo-lab completion bash)"
        COMP_WORDS=(turbo-lab sweep num_im) COMP_CWORD=2
        compopt() { echo "$1:$2"; }
        _turbo_lab_completion turbo-lab
        printf '%s\n' "${COMPREPLY[@]}"
    """
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])  # noqa: PTH120
    done = subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PATH": path},
        timeout=60,
    )
    assert done.stdout.split("\n")[:2] == ["-o:nospace", "num_images="]
