"""The user's own weights of a recorded image: found where they were, or given, by digest."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from turbo_lab.cards import WEIGHTS, assemble
from turbo_lab.cli.main import main
from turbo_lab.store.store import Store


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an image by the user's own model, LoRA and VAE, and their files."""
    folder = tmp_path_factory.mktemp("own")
    shutil.copytree(assemble("nano-turbo"), folder / "mine")
    shutil.copytree(WEIGHTS / "nano-vae", folder / "my-vae")
    shutil.copy(WEIGHTS / "flat" / "pytorch_lora_weights.safetensors", folder / "my.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        words = ["model=local", "model.path=mine", "lora=my.safetensors@0.5", "vae=my-vae"]
        steps = ["num_inference_steps=1", "guidance_scale=0", "num_threads=1"]
        assert main(["generate", "a key", *words, *steps]) == 0
    return folder


def reproduced(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict]:  # type: ignore[type-arg]
    capsys.readouterr()
    code = main(["reproduce", *words, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_own_weights_are_found_where_the_record_says(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (png,) = (own / "turbo-lab-images").glob("*.png")
    store = Store(own / "turbo-lab-store")
    (record,) = store.records()
    monkeypatch.chdir(tmp_path)
    for words in ([str(store.record_path(record.record_id))], [str(png), f"store={store.root}"]):
        code, found = reproduced(capsys, *words)
        assert (code, found["identical"]) == (0, True)


def test_own_weights_that_were_moved_are_named_by_the_user(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(own, "there")
    store = Store(tmp_path / "there" / "turbo-lab-store")
    (record,) = store.records()
    word = str(store.record_path(record.record_id))
    path = Path(word)
    path.write_text(path.read_text().replace(str(own), str(tmp_path / "gone")))
    given: list[str] = []
    for key, place in (("vae", "my-vae"), ("lora", "my.safetensors"), ("model.path", "mine")):
        given.append(f"{key}=there/{place}")
    for missing, what in ((2, "model mine"), (1, "LoRA my.safetensors"), (0, "VAE my-vae")):
        assert main(["reproduce", word, *given[:missing], *given[missing + 1 :]]) == 2
        message = capsys.readouterr().err
        key = given[missing].partition("=")[0]
        assert f"its {what}" in message and "gone" in message
        assert f"give its files with {key}=, which are used only if their digest" in message
    assert reproduced(capsys, word, *given)[0] == 0
    wrong = f"model.path={assemble('nano-sdxl')}"
    assert main(["reproduce", word, *given[:2], wrong]) == 2
    assert "give the files that it was drawn with" in capsys.readouterr().err


def test_a_copied_png_asks_for_the_users_own_weights(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A path would tell strangers about its author's folders, so that the PNG holds none."""
    monkeypatch.chdir(tmp_path)
    (png,) = (own / "turbo-lab-images").glob("*.png")
    shutil.copy(png, "copy.png")
    assert str(own).encode() not in Path("copy.png").read_bytes()
    files = [f"lora={own / 'my.safetensors'}", f"vae={own / 'my-vae'}"]
    assert main(["reproduce", "copy.png", *files]) == 2
    assert "its model mine" in (message := capsys.readouterr().err)
    assert "has no card and no recorded path; give its files with model.path=" in message
    code, found = reproduced(capsys, "copy.png", *files, f"model.path={own / 'mine'}")
    assert (code, found["identical"]) == (0, True)
