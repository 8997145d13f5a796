"""Words of the ``store`` commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from turbo_lab.cli.store.options import open_store
from turbo_lab.errors import InputError, TurboLabError
from turbo_lab.store.store import Store


def test_the_store_is_the_one_that_is_named(tmp_path: Path) -> None:
    made = Store(tmp_path / "mine")
    assert open_store([f"store={made.root}"]).root == made.root
    with pytest.raises(TurboLabError, match="is not a turbo-lab store"):
        open_store([f"store={tmp_path / 'other'}"])


def test_another_word_is_refused() -> None:
    with pytest.raises(InputError, match="store: mine: unexpected; pass store=DIRECTORY"):
        open_store(["mine"])
