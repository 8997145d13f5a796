"""Cards of published few-step models, their LoRAs and VAEs: where they are read from."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from turbo_lab.cards import (
    adapter_card,
    adapter_names,
    assemble,
    locate,
    model_card,
    model_names,
)
from turbo_lab.cards.card import vae_names
from turbo_lab.cards.hub import download_command
from turbo_lab.errors import MissingFilesError

LIGHTNING = [f"sdxl-lightning-{n}step" for n in (1, 2, 4, 8)]


def snapshot(cache: Path, repository: str, revision: str | None) -> Path:
    """Folder of a repository in a Hugging Face cache."""
    home = cache / f"models--{repository.replace('/', '--')}"
    folder = home / "snapshots" / (revision or "c" * 40)
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Hugging Face cache that has nano-sdxl in SDXL base's place."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    card = model_card("sdxl-base")
    base = snapshot(tmp_path, str(card.repository), card.revision)
    shutil.copytree(assemble("nano-sdxl"), base, dirs_exist_ok=True)
    return tmp_path


def test_every_published_model_is_known() -> None:
    models, adapters = set(model_names()), set(adapter_names())
    steps = (1, 2, 4, 8)
    assert {*LIGHTNING, "lcm-sdxl", "dmd2-sdxl-4step"} <= models
    assert {f"sdxl-lightning-{n}step-lora" for n in steps[1:]} <= models
    assert {f"hyper-sdxl-{n}step" for n in steps} <= models & adapters
    assert set(vae_names()) == {"sdxl-vae-fp16-fix", "taesdxl"}


@pytest.mark.parametrize(
    "name", [n for n in model_names() if n != "local" and model_card(n).source == "hub"]
)
def test_a_hub_card_states_licence_steps_and_scheduler(name: str) -> None:
    card = model_card(name)
    assert card.license and card.license_source
    assert card.revision is None or len(card.revision) == 40
    if card.base is not None:
        assert card.scheduler is not None and card.scheduler["_class_name"]
        assert str(card.recommended.num_inference_steps) in card.supported_steps or (
            card.supported_steps == "2 to 8"
        )
    if card.adapter is not None:
        assert adapter_card(card.adapter).base == "sdxl-base"


def test_dmd2_starts_where_it_was_trained() -> None:
    import json

    from turbo_lab.runtime.pipeline import make_scheduler

    card = model_card("dmd2-sdxl-4step")
    scheduler = make_scheduler(json.dumps(card.scheduler))
    scheduler.set_timesteps(4)
    assert scheduler.timesteps.tolist() == [999, 749, 499, 249]


@pytest.mark.parametrize("name", LIGHTNING)
def test_a_unet_of_the_hub_on_its_base(cache: Path, name: str) -> None:
    card = model_card(name)
    with pytest.raises(
        MissingFilesError, match=f"hf download ByteDance/SDXL-Lightning {card.file}"
    ):
        locate(card)
    folder = snapshot(cache, str(card.repository), card.revision)
    with pytest.raises(MissingFilesError, match=f"{card.file} is not in the local Hugging Face"):
        locate(card)
    unet = assemble("nano-turbo") / "unet" / "diffusion_pytorch_model.safetensors"
    shutil.copy(unet, folder / str(card.file))
    files = locate(card)
    assert files.revision == "c" * 40
    assert files.files == locate(model_card("nano-turbo")).files | {
        name: value for name, value in files.files.items() if name == "unet/config.json"
    }


def test_a_full_lcm_is_a_folder_of_a_unet(cache: Path) -> None:
    card = model_card("lcm-sdxl")
    assert download_command(card).endswith('--include "config.json" --include "*.fp16.safetensors"')
    folder = snapshot(cache, str(card.repository), card.revision)
    shutil.copytree(assemble("nano-turbo") / "unet", folder, dirs_exist_ok=True)
    config = folder / "config.json"
    text = config.read_text().replace('"time_cond_proj_dim": null', '"time_cond_proj_dim": 32')
    config.write_text(text)
    files = locate(card)
    assert files.has_time_cond and files.revision == "c" * 40
