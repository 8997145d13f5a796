"""Packages of both environments."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from turbo_lab.documents.upgrade import PackageChange
from turbo_lab.errors import JudgementError
from turbo_lab.upgrade.environments import Environment, installed_versions
from turbo_lab.upgrade.installer import Resolved
from turbo_lab.upgrade.messages import Described
from turbo_lab.upgrade.packages import check_imports, lock_text, package_changes
from turbo_lab.upgrade.probe import LIBRARIES
from turbo_lab.upgrade.requirements import parse_requirement

BASE = {name: f"/base/{name}/__init__.py" for name in LIBRARIES}


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    packages = (Resolved("diffusers", "0.43.0"), Resolved("lamp", "1.0", "git+https://h/l@abc"))
    return Environment(tmp_path, packages, None)


@pytest.fixture
def here() -> Described:
    return Described("3.11.7", {}, {}, {}, BASE)


@pytest.fixture
def there(tmp_path: Path) -> Described:
    return Described(
        "3.11.7",
        {"diffusers": "0.43.0", "lamp": "1.0", "torch": "2.15.0"},
        {"diffusers": str(tmp_path / "lib"), "lamp": str(tmp_path / "lib"), "torch": "/base"},
        {"lamp": "git+https://h/l@abc"},
        {**BASE, "diffusers": str(tmp_path / "lib" / "diffusers" / "__init__.py")},
    )


def test_what_was_resolved_is_what_is_imported(
    environment: Environment, here: Described, there: Described
) -> None:
    check_imports(environment, there, here)


def test_other_imports_are_refused(
    environment: Environment, here: Described, there: Described
) -> None:
    for wrong, message in (
        (replace(there, versions={**there.versions, "lamp": "2.0"}), "lamp 2.0 instead of 1.0"),
        (replace(there, versions={"diffusers": "0.43.0"}), "lamp absent instead of 1.0"),
        (replace(there, folders={**there.folders, "lamp": "/base"}), "lamp of /base"),
        (replace(there, modules=BASE), "the module /base/diffusers"),
        (replace(there, modules={**there.modules, "peft": "/else/peft"}), "the module /else/peft"),
    ):
        with pytest.raises(JudgementError, match="does not import what was resolved") as caught:
            check_imports(environment, wrong, here)
        assert message in str(caught.value)


def test_changes_are_listed_with_what_was_asked_for_first(environment: Environment) -> None:
    more = replace(environment, packages=(Resolved("aaa", "1"), *environment.packages))
    found = package_changes([parse_requirement("diffusers==0.43.0")], more)
    assert found == (
        PackageChange("diffusers", installed_versions()["diffusers"], "0.43.0", is_asked=True),
        PackageChange("lamp", None, "1.0", is_asked=True, source="git+https://h/l@abc"),
        PackageChange("aaa", None, "1", is_asked=False),
    )


def test_the_lock_file_names_every_version_and_source(there: Described) -> None:
    assert lock_text(there).splitlines() == [
        "# Python 3.11.7; written by turbo-lab upgrade",
        "diffusers==0.43.0",
        "lamp @ git+https://h/l@abc  # 1.0",
        "torch==2.15.0",
    ]
