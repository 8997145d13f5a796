"""The folder of the user's own groups on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest

from tests.cli.test_completion import complete
from turbo_lab.cards import own_groups
from turbo_lab.cli.commands import turbo_lab
from turbo_lab.cli.main import main


@pytest.fixture
def groups(tmp_path: Path) -> Path:
    """A folder with a model, a prompt set, a sweep and a policy."""
    files = {
        "model/mine.yaml": "defaults: [nano-turbo]\nname: mine\ntitle: My own model\n",
        "prompts/ours.yaml": f"defaults: [file]\nname: ours\npath: {tmp_path}/prompts.txt\n",
        "sweep/short.yaml": "# @package hydra.sweeper\nparams: {num_inference_steps: '1,3'}\n",
        "gate/strict.yaml": "defaults: [release]\nname: strict\n",
        "adapters/style.yaml": "defaults: [ink]\nname: style\ntitle: My own style\n",
    }
    for name, text in files.items():
        (tmp_path / "groups" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "groups" / name).write_text(text)
    (tmp_path / "prompts.txt").write_text("a house\na tree\n")
    return tmp_path / "groups"


def test_own_groups_are_composed(groups: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = ["--config-dir", str(groups)]
    assert main(["plan", *own, "prompts=ours", "sweep=short", "metrics=none", "--json"]) == 0
    cells = json.loads(capsys.readouterr().out)["cells"]
    assert [cell["axes"] for cell in cells] == [
        {"num_inference_steps": 1},
        {"num_inference_steps": 3},
    ]
    assert own_groups() is None
    assert main(["plan", "prompts=ours"]) == 2
    assert "prompts=ours: unknown" in capsys.readouterr().err


def test_own_choices_are_shown_where_the_packaged_ones_are(
    groups: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = ["--config-dir", str(groups)]
    assert main(["models", "list", *own, "--json"]) == 0
    titles = {row["title"] for row in json.loads(capsys.readouterr().out)["models"]}
    assert {"My own model", "My own style"} < titles
    assert main(["sweep", *own, "--help"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in ("mine", "ours", "short", "strict"))
    line = ["plan", *own, "prompts", "=", "ou"]
    assert complete(line, monkeypatch, capsys) == ["ours"]
    assert own_groups() is None
    line = ["plan", "--config-dir", "nowhere", "prompts", "=", "scenes-d"]
    assert complete(line, monkeypatch, capsys) == ["scenes-demo"]


def test_mistakes_in_own_groups_are_one_line(
    groups: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (groups / "model" / "mine.yaml").write_text("name: [\n")
    for words in (["plan"], ["models", "list"], ["gate"], ["golden", "check"]):
        assert main([*words, "--config-dir", str(groups)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "mine.yaml: line 2: is not valid YAML" in line
        assert main([*words, "--config-dir", "nowhere"]) == 2
        assert "--config-dir=nowhere: does not exist" in capsys.readouterr().err
        assert own_groups() is None


COMPOSING = [
    "generate",
    "plan",
    "sweep",
    "bench",
    "compare",
    "sync",
    "doctor",
    "reproduce",
    "gate.run",
    "gate.calibrate",
    "gate.mutate",
    "golden.record",
    "golden.check",
    "golden.calibrate",
    "golden.mutate",
    "golden.invariance",
    "models.list",
    "models.show",
    "models.get",
]


@pytest.mark.parametrize("path", COMPOSING)
def test_every_command_that_reads_groups_takes_a_folder_of_them(path: str) -> None:
    command: click.Command | None = turbo_lab
    for name in path.split("."):
        assert isinstance(command, click.Group)
        command = command.get_command(click.Context(command), name)
    assert command is not None
    assert "--config-dir" in [option for one in command.params for option in one.opts]
