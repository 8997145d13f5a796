"""What the command line answers: one clear line, the right exit code, nothing half-written."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from turbo_lab.cards import choices_of
from turbo_lab.cli.commands import COMMANDS
from turbo_lab.cli.main import main
from turbo_lab.config.keys import known_keys
from turbo_lab.store.store import Store


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plan", "num_inference_steps=0"], "num_inference_steps=0: must be an integer from 1"),
        (["plan", "guidance_scale=-1"], "guidance_scale=-1: must be finite and at least 0"),
        (["plan", "resolution=100"], "100 is not a multiple of 64; nearest: 64 or 128"),
        (["plan", "resolution=64x130"], "130 is not a multiple of 64; nearest: 128 or 192"),
        (["plan", "batch_size=0"], "batch_size=0: must be an integer from 1 to 64"),
        (["plan", "batch_size=1,65"], "batch_size=65: must be an integer from 1 to 64"),
        (["plan", "model=nano-turb"], "model=nano-turb: unknown. Did you mean nano-turbo?"),
        (["plan", "lora=inc"], "lora=inc: unknown. Did you mean ink?"),
        (["plan", "lora=a@b"], "is not NAME or NAME@WEIGHT"),
        (["plan", "guidance_scal=1"], "Did you mean guidance_scale?"),
        (["plan", "sweep=step"], "sweep=step: unknown. Did you mean steps?"),
        (["plan", "+steps=1"], "keys cannot be added or removed"),
        (["plan", "dtype=float61"], "Did you mean float16?"),
        (
            ["plan", "share=some"],
            "share=some: unknown. Did you mean none? Valid: batched, exact, none",
        ),
        (["plan", "prompts=file", "prompts.path=absent.txt"], "does not exist"),
        (["plan", "prompts=file", "prompts.path=empty.txt"], "has no prompts"),
        (["sweep", "model=sdxl-turbo"], "hf download stabilityai/sdxl-turbo --revision"),
        (["plan", "model=local"], "model.path"),
        (["sweep", "store=file.txt"], "cannot be written to; choose another folder"),
        (["sweep", "store=newer"], "schema 99 is newer than this turbo-lab's"),
        (["sweep", "timing=long"], "timing=long: unknown. Valid: full, off, short"),
        (["plan", "timing=long"], "timing=long: unknown. Valid: full, off, short"),
        (["plan", "metrics.names=clip"], "metrics=clip: unknown. Did you mean clip_score?"),
        (["plan", "reference=no.safetensors"], "no.safetensors does not exist"),
        (["sweep", "reference=no.safetensors"], "no.safetensors does not exist"),
        (["plan", "tracking=server"], "tracking.uri: has no value; write tracking.uri=VALUE"),
        (["plan", "scheduler=Euler"], "Did you mean EulerDiscreteScheduler?"),
        (["plan", "steps=3"], "Did you mean num_inference_steps?"),
        (["plan", "cfg=3"], "Did you mean guidance_scale?"),
        (["plan", "model.pth=x"], "model key=pth: unknown. Did you mean path?"),
        (["plan", "store.seed=1"], "store.seed: store is one value; write store=VALUE"),
        (["plan", "seed.x=1,2"], "seed.x: seed is one value; write seed=VALUE"),
        (["sweep", "--fast"], "sweep: No such option '--fast'."),
        (["sync", "store=typo"], "store=typo: is not a turbo-lab store"),
        (["sweep", "graphs=cuda", "loop=exact"], "graphs=cuda: this is a CPU; use graphs=none"),
        (["bench", "graphs=cuda", "loop=exact"], "graphs=cuda: this is a CPU; use graphs=none"),
        (["sweep", "pipeline=stock,exact", "offload=model"], "offload=model: this is a CPU"),
        (["sweep", "attention=math,efficient"], "attention=efficient: a CPU has flash and math"),
        (["sweep", "tf32=all"], "tf32=all: this is a CPU, which has no TF32; use tf32=auto"),
        (["sweep", "quantization=float8dq"], "quantization=float8dq: needs a GPU of compute"),
        (["sweep", "fuse_qkv=true", "lora=ink@1"], "fuse_qkv=true: fused projections would"),
        (["sweep", "vae=nowhere"], "vae=nowhere: does not exist; name a folder"),
        (["generate"], "give a prompt"),
        (["show", "absent.png"], "absent.png: does not exist"),
        (["sweeep"], "command=sweeep: unknown. Did you mean sweep?"),
        (["models", "shw"], "models: shw: unknown. Did you mean show?"),
        (["sweep", "--jsno"], "'--json'?"),
        (["golden"], "golden: name one of record, check"),
        (["report", "x", "--images", "many"], "'many' is not a valid integer"),
        (["store", "du", "stor=x"], "key=stor: unknown. Did you mean store?"),
        (["store", "du", "x=" + "y" * 300], "y: the name is too long; a file name has up to"),
        (["report", "y" * 300], "y: the name is too long; a file name has up to 255 bytes"),
        (["reference", "build", "y" * 300], "y: the name is too long; a file name has up to"),
        (["a\rb"], r"command=a\rb: unknown."),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(
    arguments: list[str], message: str, own_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (own_folder / "empty.txt").write_text("\n")
    (own_folder / "file.txt").write_text("x")
    (own_folder / "newer").mkdir()
    newer = {"schema": 99, "turbo_lab": "9", "kind": "store"}
    (own_folder / "newer" / "store.json").write_text(json.dumps(newer))
    before = sorted(path.name for path in own_folder.rglob("*"))
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.startswith("turbo-lab: ") and captured.err.count("\n") == 1
    assert captured.out == ""
    assert sorted(path.name for path in own_folder.rglob("*")) == before


@pytest.mark.parametrize("flags", [["--cfg", "job"], ["-c", "all"]])
def test_hydras_own_flags_answer(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", *flags]) == 0
    assert "nano-turbo" in capsys.readouterr().out


@pytest.mark.parametrize("command", list(COMMANDS))
def test_every_command_has_its_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"Usage: turbo-lab {command} ") and "``" not in text


@pytest.mark.parametrize("command", ["plan", "sweep", "bench", "generate", "compare", "sync"])
def test_help_of_a_grid_names_every_key(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "-h"]) == 0
    text = capsys.readouterr().out
    keys = known_keys() - {"golden"}  # cases, not settings
    assert {key for key in keys if f"  {key}=" not in text} == set()
    assert [name for name in choices_of("model") if name not in text] == [], "no name is broken"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["plan", "num_threads=1,2"], "num_threads cannot be swept; run one sweep per value"),
        (["plan", "share=exact,none"], "share cannot be swept"),
        (["plan", "metrics=default,full"], "metrics cannot be swept"),
        (["generate", "a key", "prompts=scenes-demo"], "two prompts given"),
        (["generate", ""], "the prompt is empty"),
        (["generate", "seed=3"], "give a prompt"),
    ],
)
def test_what_would_be_dropped_is_refused(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert message in capsys.readouterr().err


def test_figures_stay_in_the_document_of_a_run_that_takes_none(
    own_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = ["sweep", "--json", "seed=7", "num_images=2", "num_threads=1", "timing=off"]
    quiet = [*sweep, "tracking=none"]
    documents = []
    for metrics in (
        "metrics.names=clip_score,diversity",
        "metrics.names=diversity",
        "metrics=none",
    ):
        assert main([*quiet, metrics]) == 0
        documents.append(json.loads(capsys.readouterr().out))
    measured, *later = [document["cells"][0]["metrics"] for document in documents]
    assert set(measured) == {"clip_score", "diversity"} and later == [measured, measured]


def test_record_names_its_own_weights_and_prompts_and_no_others(
    own_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grid = ["model=nano-turbo,nano-lcm", "lora=none,ink@0.5", "prompts=scenes-demo,scenes-heldout"]
    plain = ["num_images=1", "num_threads=1", "timing=off", "metrics=none", "tracking=none"]
    assert main(["sweep", "--json", *grid, *plain]) == 0
    for cell in json.loads(capsys.readouterr().out)["cells"]:
        asked, about = cell["parameters"], cell["provenance"]
        own = ["nano-lcm"] if asked["model"] == "nano-lcm" else []
        used = ["ink"] if asked["lora"] != "none" else []
        assert list(about["models"]) == [asked["model"]]
        assert list(about["adapters"]) == own + used
        assert list(about["prompt_sets"]) == [asked["prompts"]]
        for weights in (*about["models"].values(), *about["adapters"].values()):
            assert weights["license"] and len(weights["digest"]) == 64


def test_a_reader_that_has_gone_is_not_a_regression() -> None:
    """As in ``turbo-lab models list | true``: rich would end the process with 1."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "turbo_lab.cli", "models", "list"]
    with os.fdopen(writer, "wb") as closed:
        assert subprocess.run(command, stdout=closed, check=False).returncode == 0


def test_a_word_that_names_nothing_is_refused_before_the_store_is_opened(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["reproduce", "foo"]) == 2
    assert "foo: is not a PNG file, a record path, an id" in capsys.readouterr().err


def test_a_sweep_named_by_an_absolute_path_is_unknown(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    Store(tmp_path / "store")
    assert main(["report", "/no/such/sweep.json", f"store={tmp_path / 'store'}"]) == 2
    assert "/no/such/sweep.json" in capsys.readouterr().err


def test_a_cache_that_cannot_be_written_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TURBO_LAB_CACHE", str(tmp_path / "file" / "cache"))
    assert main(["plan", f"store={tmp_path / 'store'}"]) == 2
    assert "set TURBO_LAB_CACHE to a folder that can be written" in capsys.readouterr().err


def test_a_numeric_user_without_a_home_folder_plans(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in a container that runs as a user whom its password file does not list."""

    def nobody(uid: int) -> NoReturn:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.chdir(tmp_path)
    for name in ("HOME", "HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    assert main(["plan", "model=nano-turbo,sdxl-turbo", "num_images=1"]) == 0
    assert "2 to run" in capsys.readouterr().out


def test_a_word_that_is_not_unicode_is_wrong_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "a", "--html", "\ud800"]) == 2
    assert capsys.readouterr().err == "turbo-lab: '\\ud800': is not valid Unicode\n"
