"""The packages of both environments: what differs, what is really imported, the lock file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from packaging.version import Version

from turbo_lab.documents.upgrade import PackageChange
from turbo_lab.errors import JudgementError
from turbo_lab.upgrade.environments import Environment, installed_versions
from turbo_lab.upgrade.messages import Described
from turbo_lab.upgrade.probe import LIBRARIES
from turbo_lab.upgrade.requirements import Wanted


def check_imports(environment: Environment, there: Described, here: Described | None) -> None:
    """Check that the candidate imports what was resolved, and otherwise what is here.

    ``here``: packages of this environment; ``None``: they are not compared.

    Raises :class:`JudgementError`: a verdict on other packages would be worth nothing.
    """
    root = environment.root.resolve()
    wrong = []
    for one in environment.packages:
        version, folder = there.versions.get(one.name), there.folders.get(one.name)
        assert one.version is not None  # it is installed
        if version is None or Version(version) != Version(one.version):
            wrong.append(f"{one.name} {version or 'absent'} instead of {one.version}")
        elif not Path(str(folder)).resolve().is_relative_to(root):
            wrong.append(f"{one.name} of {folder}")
    own = {one.name for one in environment.packages}
    for name in LIBRARIES:
        file = there.modules[name]
        is_right = Path(file).resolve().is_relative_to(root) if name in own else True
        if not is_right or (here and name not in own and file != here.modules[name]):
            wrong.append(f"the module {file}")
    if wrong:
        raise JudgementError(f"the candidate does not import what was resolved: {', '.join(wrong)}")


def package_changes(
    wanted: Sequence[Wanted], environment: Environment
) -> tuple[PackageChange, ...]:
    """Return the packages that differ, those that were asked for first."""
    here = installed_versions()
    paths = {one.name: one.path.name for one in wanted if one.path is not None and one.name}
    asked = {one.name for one in wanted}
    # The installer says the name of a folder or address.
    found = [
        PackageChange(
            name=one.name,
            here=here.get(one.name),
            candidate=one.version or "unknown",
            is_asked=one.name in asked or one.source is not None,
            source=paths.get(one.name, one.source),
        )
        for one in environment.packages
    ]
    return tuple(sorted(found, key=lambda one: not one.is_asked))


def lock_text(described: Described) -> str:
    """Return the lock file: the exact version or source of every package."""
    lines = [f"# Python {described.python}; written by turbo-lab upgrade"]
    for name, version in sorted(described.versions.items()):
        source = described.sources.get(name)
        lines.append(f"{name}=={version}" if source is None else f"{name} @ {source}  # {version}")
    return "\n".join(lines) + "\n"
