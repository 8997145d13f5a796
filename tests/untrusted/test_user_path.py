"""Tests of paths that a user wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

from turbo_lab.untrusted.paths import user_path


def test_the_tilde_is_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert user_path("~/models") == Path("/home/me/models")
    assert user_path("models") == Path("models")


def test_a_user_without_a_home_folder_keeps_the_text() -> None:
    assert user_path("~nobody-has-this-name/models") == Path("~nobody-has-this-name/models")
