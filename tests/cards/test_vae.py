"""VAEs by name, by folder and from the Hugging Face cache; what is not a VAE is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from turbo_lab.cards import WEIGHTS, assemble, locate_vae
from turbo_lab.cards.card import vae_card
from turbo_lab.cards.vae import CONFIG_FILE, WEIGHTS_FILE
from turbo_lab.errors import InputError, MissingFilesError
from turbo_lab.identity import DigestCache


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the shipped VAE."""
    return shutil.copytree(WEIGHTS / "nano-vae", tmp_path / "vae")


def add_tensor(weights: Path) -> None:
    tensors = load_file(weights)
    weights.unlink()  # it may be a link
    save_file(tensors | {"x": np.zeros(1, np.float32)}, weights)


def test_a_vae_is_known_by_its_content(folder: Path, cache: DigestCache) -> None:
    shipped, own = locate_vae("nano-vae", cache), locate_vae(str(folder), cache)
    assert (shipped.path, own.path) == (WEIGHTS / "nano-vae", folder)
    assert own.digest == shipped.digest
    assert (shipped.license, own.license) == ("Apache-2.0", "unknown")
    assert own.license_source == "the user's own folder"
    assert own.revision is None and not own.has_random_weights
    add_tensor(folder / WEIGHTS_FILE)
    assert locate_vae(str(folder), cache).digest != shipped.digest


def test_a_config_is_part_of_the_identity(folder: Path, cache: DigestCache) -> None:
    before = locate_vae(str(folder), cache).digest
    config = folder / CONFIG_FILE
    config.write_text(config.read_text().replace("scaling_factor", "scaling_factor_"))
    assert locate_vae(str(folder), cache).digest != before


@pytest.mark.parametrize(
    ("left", "lacking"),
    [
        ((CONFIG_FILE,), WEIGHTS_FILE),
        ((WEIGHTS_FILE,), CONFIG_FILE),
        ((), f"{CONFIG_FILE} and {WEIGHTS_FILE}"),
    ],
)
def test_what_a_folder_lacks_is_named(folder: Path, left: tuple[str, ...], lacking: str) -> None:
    for path in list(folder.iterdir()):
        if path.name not in left:
            path.unlink()
    with pytest.raises(MissingFilesError, match=f"lacks {lacking}; a VAE of diffusers has both"):
        locate_vae(str(folder))


def test_what_is_not_a_vae_is_refused(folder: Path) -> None:
    with pytest.raises(
        MissingFilesError,
        match="vae=nowhere: does not exist; .* or one of nano-vae, sdxl-vae-fp16-fix",
    ):
        locate_vae("nowhere")
    with pytest.raises(InputError, match="vae=nano-clip: is a judge, not a VAE"):
        locate_vae("nano-clip")
    weights = folder / WEIGHTS_FILE
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(InputError, match="is cut off"):
        locate_vae(str(folder))


@pytest.mark.parametrize("name", ["sdxl-vae-fp16-fix", "taesdxl"])
def test_a_vae_of_the_hub(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    card = vae_card(name)
    with pytest.raises(MissingFilesError, match=f"vae={name}: .* Licence: mit .*hf download"):
        locate_vae(name)
    home = tmp_path / f"models--{str(card.repository).replace('/', '--')}"
    snapshot = home / "snapshots" / (card.revision or "c" * 40)
    shutil.copytree(assemble("nano-sdxl") / "vae", snapshot)
    files = locate_vae(name)
    assert (files.path, files.license) == (snapshot, "mit")
    assert files.revision == (card.revision or "c" * 40)
    add_tensor(snapshot / WEIGHTS_FILE)
    assert locate_vae(name).digest != files.digest
