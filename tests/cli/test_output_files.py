"""Names that no file system takes, as any output of any command: refused before any work."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tests.contract.conftest import FILES
from turbo_lab.cli.commands import turbo_lab
from turbo_lab.cli.main import main
from turbo_lab.cli.output_files import checked_output

LONG = "x" * 300
SWEEP = next((FILES / "store" / "sweeps").iterdir()).name
WITH_FILES = {
    "bench": [],
    "compare": ["baselines=nano-sdxl"],
    "gate run": ["gate=release"],
    "golden check": [],
    "golden invariance": [],
    "history record": ["bench.json"],
    "history show": [],
    "reference build": ["."],
    "report": [SWEEP],
}
"""Further words of each command with an option that names a file to write."""


def file_options(group: click.Group, above: str = "") -> Iterator[tuple[str, str]]:
    """Yield each command that takes a file, with the option that names the file."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from file_options(command, f"{above}{name} ")
        elif command is not None:
            options = [one for one in command.params if isinstance(one, click.Option)]
            yield from ((above + name, o.opts[0]) for o in options if o.metavar == "FILE")


READ = {("generate", "--from")}
"""Options that name a file to read."""
OPTIONS = [one for one in file_options(turbo_lab) if one not in READ]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a store."""
    shutil.copytree(FILES / "store", tmp_path / "turbo-lab-store")
    (tmp_path / "turbo-lab-store" / "tmp").mkdir()  # opening the store makes it
    monkeypatch.chdir(tmp_path)
    return tmp_path


def check_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that must end with one line and leave the folder as it was."""
    before = sorted(Path.cwd().rglob("*"))
    assert main(words) == 2
    output = capsys.readouterr()
    (line,) = output.err.splitlines()
    assert output.out == "" and sorted(Path.cwd().rglob("*")) == before
    assert "255" in line and len(line) < 400
    return line


def test_every_option_for_a_file_is_checked_in_one_place() -> None:
    assert {command for command, _ in OPTIONS} == set(WITH_FILES)
    context = click.Context(turbo_lab)
    for command, option in OPTIONS:
        found: click.Command | None = turbo_lab
        for word in command.split():
            assert isinstance(found, click.Group)
            found = found.get_command(context, word)
        assert found is not None
        (parameter,) = (one for one in found.params if option in one.opts)
        assert parameter.callback is checked_output, (command, option)


@pytest.mark.parametrize(("command", "option"), OPTIONS)
@pytest.mark.parametrize("name", [LONG, f"{LONG}/page.html", "ü" * 150])
def test_a_file_that_an_option_names(
    name: str, command: str, option: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = check_refused([*command.split(), option, name, *WITH_FILES[command]], capsys)
    assert line.startswith(f"turbo-lab: {option}={name[:20]}") and "300 bytes" in line


GRID = ["num_images=1", "metrics=none", "timing=off"]


@pytest.mark.parametrize(
    ("words", "where"),
    [
        (["generate", "a key", f"output={LONG}"], "output="),
        (["generate", "a key", f"store={LONG}"], "store="),
        (["sweep", *GRID, f"store={LONG}"], "store="),
        (["plan", f"store=results/{LONG}/store"], "store="),
        (["bench", f"store={LONG}"], "store="),
        (["sync", f"store={LONG}"], "store="),
        (["store", "verify", f"store={LONG}"], "store="),
        (["store", "du", f"store={LONG}"], "store="),
        (["store", "gc", f"store={LONG}"], "store="),
        (["report", SWEEP, f"store={LONG}"], "store="),
        (["sweep", *GRID, "tracking=server", f"tracking.uri=sqlite:///{LONG}.db"], "tracking.uri"),
        (["sync", "tracking=server", f"tracking.uri=file:///{LONG}"], "tracking.uri"),
        (["export", SWEEP, LONG], "export: DIR="),
        (["baseline", "set", LONG, SWEEP, "cell=0"], "baseline set: NAME="),
        (["golden", "record", LONG, "seed=1"], "golden in "),
    ],
)
def test_a_folder_an_address_and_a_name(
    words: list[str], where: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check_refused(words, capsys).startswith(f"turbo-lab: {where}")


def test_the_longest_name_is_written(folder: Path) -> None:
    longest = "x" * 250 + ".html"
    assert len(os.fsencode(longest)) == 255
    assert main(["report", SWEEP, "--output", longest]) in (0, 3)
    assert (folder / longest).is_file()
