"""Licences to accept and weight files that changed, on a terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from turbo_lab.cards import model_card
from turbo_lab.cards.hub import download_of
from turbo_lab.documents.models import ModelsVerified
from turbo_lab.report.text.models import print_downloads, print_verified


def test_the_licence_is_shown_where_the_question_is_asked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    card = model_card("sdxl-turbo")
    print_downloads([download_of(card)])
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(f"{card.repository}  {card.revision}\n  files    ")
    assert f"  licence  {card.license}\n  read in  {card.license_source}\n" in shown.err


def test_changed_files_are_named_with_what_follows(capsys: pytest.CaptureFixture[str]) -> None:
    print_verified(ModelsVerified(3, ()))
    assert capsys.readouterr().out == "3 of 3 files match their recorded digests\n"
    print_verified(ModelsVerified(3, (Path("unet.safetensors"),)))
    shown = capsys.readouterr().out
    assert shown.startswith("changed  unet.safetensors\n") and "remove those batches" in shown
    assert shown.endswith("2 of 3 files match their recorded digests\n")
