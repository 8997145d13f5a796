"""What a name needs from the hub, and downloads that are refused or fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from turbo_lab.cards import adapter_card, model_card
from turbo_lab.errors import InputError
from turbo_lab.workflows.download import _without_credentials, downloads, fetch, snapshot_lacks


def repositories(name: str) -> list[str]:
    return [str(one.card.repository) for one in downloads(name)]


def test_a_base_and_an_adapter_come_along() -> None:
    base = str(model_card("sdxl-base").repository)
    assert repositories("sdxl-base") == [base]
    assert repositories("sdxl-lightning-4step") == ["ByteDance/SDXL-Lightning", base]
    assert repositories("lcm-lora-sdxl") == [base, str(adapter_card("lcm-lora-sdxl").repository)]
    card = model_card("hyper-sdxl-4step")
    assert card.adapter is not None
    assert str(adapter_card(card.adapter).repository) in repositories("hyper-sdxl-4step")
    assert repositories("taesdxl") == ["madebyollin/taesdxl"]


def test_each_repository_s_command_is_listed_once() -> None:
    for name in ("sdxl-lightning-4step", "hyper-sdxl-4step", "lcm-sdxl"):
        commands = [one.command for one in downloads(name)]
        assert len(commands) == len(set(commands)) >= 2


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nano-turbo", "models get nano-turbo: ships with turbo-lab; there is nothing to fetch"),
        ("flat", "models get flat: ships with turbo-lab"),
        ("sdxl-turb", r"model=sdxl-turb: unknown. Did you mean sdxl-turbo\?"),
        ("local", "model=local: unknown"),
    ],
)
def test_only_names_of_the_hub_are_fetched(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        downloads(name)


def test_a_client_in_offline_mode_is_refused() -> None:
    with pytest.raises(InputError, match="HF_HUB_OFFLINE is set; unset it, or copy the files"):
        fetch(downloads("sdxl-turbo")[0])


def test_a_file_is_looked_for_in_the_cards_own_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    card = model_card("sdxl-turbo")
    home = tmp_path / "models--stabilityai--sdxl-turbo" / "snapshots"
    assert snapshot_lacks(card, "model_index.json")
    for revision in ("0" * 40, str(card.revision)):
        (home / revision).mkdir(parents=True)
    (home / ("0" * 40) / "model_index.json").touch()
    assert snapshot_lacks(card, "model_index.json"), "it is in another revision"
    (home / str(card.revision) / "model_index.json").touch()
    assert not snapshot_lacks(card, "model_index.json")


def test_a_password_in_the_hub_s_address_is_not_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from huggingface_hub.utils.logging import get_logger

    entry = get_logger("huggingface_hub").makeRecord(
        "huggingface_hub", 30, "f", 1, "%s refused by %s", ("GET", "http://me:s3cret@host/x"), None
    )
    assert _without_credentials(entry)
    assert entry.getMessage() == "GET refused by http://host/x"
