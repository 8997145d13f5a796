"""Cases that ``golden record`` records."""

from __future__ import annotations

from pathlib import Path

import pytest

from turbo_lab.cli.golden.new_cases import new_cases
from turbo_lab.errors import InputError
from turbo_lab.golden.library import GoldenLibrary, standard_cases


def test_a_name_with_keys_is_a_case_and_a_name_alone_a_known_one(tmp_path: Path) -> None:
    library = GoldenLibrary(tmp_path / "goldens")
    assert new_cases(library, []) == standard_cases()
    assert new_cases(library, ["mine", "seed=1"]) == {"mine": ("seed=1",)}
    name, words = next(iter(standard_cases().items()))
    assert new_cases(library, [name]) == {name: words}
    with pytest.raises(InputError, match="seed=1: name the case first"):
        new_cases(library, ["seed=1"])


def test_cases_with_a_golden_are_left_out(library: GoldenLibrary) -> None:
    with pytest.raises(InputError, match="there is a golden already for two-steps; to replace"):
        new_cases(library, ["two-steps"])
