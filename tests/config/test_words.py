"""Shorthands of lists: ranges of numbers, and files by pattern."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turbo_lab import config
from turbo_lab.config.words import spelled_out
from turbo_lab.errors import InputError


@pytest.mark.parametrize(
    ("word", "spelled"),
    [
        ("seed=1-4", "seed=1,2,3,4"),
        ("seed=7-7", "seed=7"),
        ("seed=1-3,8", "seed=1,2,3,8"),
        ("guidance_scale=0:3:0.5", "guidance_scale=0,0.5,1,1.5,2,2.5,3"),
        ("guidance_scale=0:1:0.3", "guidance_scale=0,0.3,0.6,0.9"),
        ("lora_weight=-0.2:0.2:0.2", "lora_weight=-0.2,0,0.2"),
        ("num_inference_steps=1:3", "num_inference_steps=1,2,3"),
        ("num_inference_steps=range(1,4)", "num_inference_steps=range(1,4)"),
        ("prompt=1-4", "prompt=1-4"),
        ("resolution=64-128", "resolution=64-128"),
        ("seed=-4", "seed=-4"),
        ("seed='1-4'", "seed='1-4'"),
        ("a red apple", "a red apple"),
    ],
)
def test_ranges_include_their_end(word: str, spelled: str) -> None:
    assert spelled_out(word) == spelled


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("seed=4-1", "seed=4-1: 4-1 must count up"),
        ("guidance_scale=0:3:0", "0:3:0 must count up"),
        ("guidance_scale=0:3:-1", "0:3:-1 must count up"),
        ("seed=0-999999999", "0-999999999 lists more than 20000 values"),
        ("seed=0-" + "9" * 4000, "lists more than 20000 values"),
    ],
)
def test_ranges_without_end_or_values_are_refused(word: str, message: str) -> None:
    with pytest.raises(InputError) as refused:
        spelled_out(word)
    assert message in str(refused.value)


@given(st.integers(-50, 50), st.integers(0, 40), st.integers(1, 9), st.integers(0, 2))
def test_a_range_is_arithmetic(start: int, length: int, step: int, digits: int) -> None:
    unit = Decimal(1).scaleb(-digits)
    first, by = start * unit, step * unit
    word = f"guidance_scale={first:f}:{first + length * unit:f}:{by:f}"
    found = [Decimal(text) for text in spelled_out(word).partition("=")[2].split(",")]
    assert found == [first + k * by for k in range(length // step + 1)]


@pytest.fixture
def loras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with files that an adapter may be called, as the working directory's ``loras``."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "loras"
    for name in ("b.safetensors", "a.safetensors", "it's, odd+1@2.safetensors", "notes.txt"):
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"")
    (folder / "peft").mkdir()
    (folder / "peft" / "adapter_config.json").write_text("{}")
    return folder


def values(word: str) -> list[object]:
    """Return the values that Hydra makes of a word."""
    key = word.partition("=")[0]
    return [dict(point.axes)[key] for point in config.compose("plan", [word])]


@pytest.mark.usefixtures("loras")
@pytest.mark.parametrize("word", ["lora=loras/*@0.5", "lora=loras/@0.5"])
def test_files_become_values_of_lora(word: str) -> None:
    assert values(word) == [
        "loras/a.safetensors@0.5",
        "loras/b.safetensors@0.5",
        """"loras/it's, odd+1@2.safetensors"@0.5""",
        "loras/peft@0.5",
    ]


@pytest.mark.usefixtures("loras")
def test_a_pattern_may_be_one_of_several_values() -> None:
    found = values("lora=none,loras/?.safetensors,flat@0.5")
    assert found == ["none", "loras/a.safetensors", "loras/b.safetensors", "flat@0.5"]


@pytest.mark.usefixtures("loras")
@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("lora=loras/z*", "loras/z* matches nothing"),
        ("lora=loras/*.txt", "loras/*.txt matches no .safetensors file"),
        ("model.path=none/*", "none/* matches nothing"),
    ],
)
def test_a_pattern_without_a_match_is_refused(word: str, message: str) -> None:
    with pytest.raises(InputError) as refused:
        spelled_out(word)
    assert message in str(refused.value)


@pytest.fixture
def checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of models, and of what is none, in the working directory."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "checkpoints"
    for name in ("step-10", "step-2"):
        (folder / name).mkdir(parents=True)
        (folder / name / "model_index.json").write_text("{}")
    (folder / "a unet").mkdir()
    config_file = folder / "a unet" / "config.json"
    config_file.write_text('{"_class_name": "UNet2DConditionModel"}')
    for name in ("step-9.safetensors", "old.ckpt", "notes.txt", ".hidden.txt"):
        (folder / name).write_bytes(b"")
    (folder / "empty").mkdir()
    return folder


@pytest.mark.usefixtures("checkpoints")
@pytest.mark.parametrize("word", ["model.path=checkpoints/", "model.path=checkpoints"])
def test_a_folder_of_models_lists_them_in_natural_order(
    word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = config.compose("plan", ["model=local", word])
    assert [point.group("model")["path"] for point in found] == [
        "checkpoints/a unet",
        "checkpoints/step-2",
        "checkpoints/step-9.safetensors",
        "checkpoints/step-10",
    ]
    assert capsys.readouterr().err == (
        f"warning: {word}: skipped empty, notes.txt, old.ckpt: not a .safetensors file or a "
        "diffusers folder\n"
    )


@pytest.mark.usefixtures("checkpoints")
@pytest.mark.parametrize(
    "word",
    [
        "model.path=checkpoints/step-2",
        "model.path='checkpoints'",
        "model.path=nowhere/",
        f"model.path={'x' * 300}/",
        "model.path=checkpoints/step-9.safetensors",
    ],
)
def test_one_model_stays_one(word: str) -> None:
    assert spelled_out(word) == word


def test_a_model_that_is_not_whole_is_not_a_folder_of_models(tmp_path: Path) -> None:
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "config.json").write_text('{"_class_name": "UNet2DConditionModel"}')
    word = f"model.path={tmp_path}"
    assert spelled_out(word) == word


@pytest.mark.usefixtures("checkpoints", "loras")
@pytest.mark.parametrize(
    ("word", "message"),
    [
        (
            "model.path=checkpoints/empty/",
            "checkpoints/empty/ is not a .safetensors file or a diffusers folder, and has none in "
            "it; it has no files",
        ),
        (
            "lora=checkpoints/empty/@0.5",
            "checkpoints/empty/ is not a .safetensors file or a folder with adapter_config.json, "
            "and has none in it; it has no files",
        ),
        ("lora=nowhere/", "nowhere/ cannot be read (No such file or directory)"),
        ("lora=checkpoints/notes.txt/", "checkpoints/notes.txt/ cannot be read (Not a directory)"),
        (f"lora={'x' * 300}/", f"{'x' * 300}/ cannot be read (File name too long)"),
    ],
)
def test_a_folder_with_nothing_to_use_is_refused(word: str, message: str) -> None:
    with pytest.raises(InputError) as refused:
        spelled_out(word)
    assert str(refused.value) == f"{word}: {message}"


def test_only_the_first_names_of_many_are_shown(tmp_path: Path) -> None:
    for number in range(1, 13):
        (tmp_path / f"{number}.txt").touch()
    with pytest.raises(InputError, match=r"it has 1\.txt, 2\.txt, .*, 5\.txt and 7 more$"):
        spelled_out(f"model.path={tmp_path}/")


@pytest.mark.usefixtures("loras")
def test_an_adapter_in_a_folder_stays_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert spelled_out("lora=loras/peft/@0.5") == "lora=loras/peft/@0.5"
    assert len(values("lora=loras/")) == 4
    assert "warning: lora=loras/: skipped notes.txt: not a" in capsys.readouterr().err


def test_models_by_pattern(tmp_path: Path) -> None:
    for name in ("one model", "two"):
        (tmp_path / name).mkdir()
    found = config.compose("plan", ["model=local", f"model.path={tmp_path}/*"])
    paths = [point.group("model")["path"] for point in found]
    assert paths == [f"{tmp_path}/one model", f"{tmp_path}/two"]
