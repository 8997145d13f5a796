"""The functions of the package itself, whatever was imported before."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import turbo_lab
from turbo_lab import api, errors


def test_the_package_has_the_names_of_its_interface() -> None:
    assert turbo_lab.__all__ == api.__all__
    for name in turbo_lab.__all__:
        assert name in dir(turbo_lab) and callable(getattr(turbo_lab, name))
    assert turbo_lab.sweep is api.sweep and turbo_lab.Sweep is api.Sweep


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'turbo_lab' has no attribute 'swep'"):
        turbo_lab.swep  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize("name", ["compare", "gate"])
def test_a_package_with_the_name_of_a_function_is_called(name: str) -> None:
    package = importlib.import_module(f"turbo_lab.{name}")
    assert getattr(turbo_lab, name) is package
    with pytest.raises(errors.InputError, match=rf"^{name}: 'nonsense' is not a KEY=VALUE word"):
        getattr(turbo_lab, name)("nonsense")


@pytest.mark.parametrize("first", ["import turbo_lab.api.sides", "from turbo_lab import gate"])
def test_the_order_of_imports_does_not_matter(first: str) -> None:
    code = (
        f"{first}\nimport turbo_lab\nprint(callable(turbo_lab.compare), callable(turbo_lab.gate))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True True\n"
