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


def test_models_by_pattern(tmp_path: Path) -> None:
    for name in ("one model", "two"):
        (tmp_path / name).mkdir()
    found = config.compose("plan", ["model=local", f"model.path={tmp_path}/*"])
    paths = [point.group("model")["path"] for point in found]
    assert paths == [f"{tmp_path}/one model", f"{tmp_path}/two"]
