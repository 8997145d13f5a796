"""Exit codes of failures, and the hint for a misspelt name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turbo_lab import errors
from turbo_lab.errors import NonFiniteError, TurboLabError, unknown_name

NAMES = ("nano-sdxl", "nano-turbo", "sdxl-turbo")


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("InputError", 2),
        ("MissingFilesError", 2),
        ("OverrideError", 2),
        ("UnfitError", 2),
        ("NotOnThisMachineError", 2),
        ("NonFiniteError", 2),
        ("StoreError", 2),
        ("WriteError", 3),
        ("IncompleteError", 3),
        ("JudgementError", 4),
    ],
)
def test_every_failure_has_an_exit_code(kind: str, code: int) -> None:
    found = getattr(errors, kind)
    assert issubclass(found, TurboLabError) and found.exit_code == code


def test_no_kind_of_failure_is_left_out_above() -> None:
    kinds = {one for one in vars(errors).values() if isinstance(one, type)}
    assert len([kind for kind in kinds if issubclass(kind, TurboLabError)]) == 11


def test_a_non_finite_value_names_its_first_stage() -> None:
    error = NonFiniteError("unet.1", "use dtype=float32")
    assert error.stage == "unet.1"
    assert str(error) == ("non-finite values (NaN or infinity), first in unet.1: use dtype=float32")


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        ("nano-turb", "nano-turbo"),
        ("TURBO", "nano-turbo"),  # part of two names: the shorter, then the first
        ("sdxl-turbo-fp16", "sdxl-turbo"),
        ("nano-sdlx", "nano-sdxl"),
        ("zzz", None),
        ("no", None),  # part of a name, but two letters are part of many
    ],
)
def test_the_nearest_name_is_the_hint(value: str, meant: str | None) -> None:
    hint = f" Did you mean {meant}?" if meant else ""
    valid = "Valid: nano-sdxl, nano-turbo, sdxl-turbo"
    assert str(unknown_name("model", value, NAMES)) == f"model={value}: unknown.{hint} {valid}"


def test_a_given_hint_takes_precedence() -> None:
    error = unknown_name("key", "nano-turb", [*NAMES, *NAMES], meant="prompts")
    assert "Did you mean prompts?" in str(error)
    assert str(error).count("nano-sdxl") == 1


@given(st.text(min_size=1), st.lists(st.text(min_size=1), max_size=5))
def test_a_hint_is_a_valid_name_or_absent(value: str, names: list[str]) -> None:
    text = str(unknown_name("field", value, names))
    rest = text.removeprefix(f"field={value}: unknown.")
    hints = {"", *(f" Did you mean {name}?" for name in names)}
    assert rest in {f"{hint} Valid: {', '.join(sorted(set(names)))}" for hint in hints}
