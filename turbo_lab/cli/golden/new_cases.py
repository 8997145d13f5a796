"""The cases that ``golden record`` records."""

from __future__ import annotations

from collections.abc import Sequence

from turbo_lab.errors import InputError
from turbo_lab.golden.library import GoldenLibrary, check_known, check_name, standard_cases


def new_cases(library: GoldenLibrary, words: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the cases to record. Raises ``InputError`` if all of them have a golden."""
    cases = _named_cases(library, words)
    new = {name: overrides for name, overrides in cases.items() if not library.has(name)}
    if not new:
        raise InputError(
            f"golden record: there is a golden already for {', '.join(cases)}; to replace it, run "
            "turbo-lab golden accept NAME --reason TEXT"
        )
    return new


def _named_cases(library: GoldenLibrary, words: Sequence[str]) -> dict[str, tuple[str, ...]]:
    known = library.cases_if_any()
    if not words:
        return known or standard_cases()
    name, *overrides = words
    if "=" in name:
        raise InputError(f"golden record {name}: name the case first, as in record my-case {name}")
    if not overrides:
        cases = known | standard_cases()
        check_known([name], cases)
        return {name: cases[name]}
    check_name(name)
    return {name: tuple(overrides)}
