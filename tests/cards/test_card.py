"""Every card can be read; a wrong one is one line that names the key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cards.checkpoints import local
from turbo_lab.cards import (
    adapter_card,
    adapter_names,
    model_card,
    model_names,
)
from turbo_lab.errors import InputError


@pytest.mark.parametrize("name", ["nano-turbo", "nano-sdxl", "nano-lcm", "sdxl-turbo", "sdxl-base"])
def test_every_card_is_valid(name: str) -> None:
    card = model_card(name)
    assert card.name == name
    assert card.license and card.license_source
    assert card.recommended.num_inference_steps >= 1


def test_all_cards_can_be_read() -> None:
    assert {"lcm-lora-sdxl", "local"} <= set(model_names())
    for name in set(model_names()) - {"local"}:
        card = model_card(name)
        assert card.adapter is None or card.adapter in adapter_names()
        assert card.base is None or card.base in model_names()
    for name in adapter_names():
        assert adapter_card(name).base in model_names()


def test_revisions_and_licences_of_the_hub_cards() -> None:
    turbo = model_card("sdxl-turbo")
    assert turbo.revision == "71153311d3dbb46851df1931d3ca6e939de83304"
    assert "sai-nc-community" in turbo.license and "Apache" not in turbo.license
    assert model_card("sdxl-base").revision == "462165984030d82259a11f4367a4eed129e94a7b"
    assert adapter_card("lcm-lora-sdxl").revision is None


def test_an_unknown_model_names_the_nearest() -> None:
    with pytest.raises(InputError, match=r"model=nano-turb: unknown. Did you mean nano-turbo\?"):
        model_card("nano-turb")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"revision": "main"}, "revision=main: must be the 40 hex digits of a commit, or null"),
        ({"source": "web"}, "source=web: unknown"),
        ({"source": "hub"}, "source=hub needs a repository, as OWNER/NAME"),
        ({"path": None}, "model=local: needs model.path=FOLDER_OR_FILE"),
        ({"scheduler": "Euler"}, "model.scheduler=Euler: must be a mapping of keys and values"),
        ({"licence": "x"}, "key=licence: unknown. Did you mean license?"),
    ],
)
def test_wrong_cards(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        local(Path("x"), **changes)
    assert message in str(caught.value)
