"""Goldens that were recorded or accepted, for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from turbo_lab.documents.golden import AcceptedCase
from turbo_lab.golden.document import Golden
from turbo_lab.golden.library import GoldenLibrary
from turbo_lab.golden.lifecycle import bound95


def announcement(cases: int, processes: int) -> str:
    """Return the line that is shown before cases are drawn."""
    goldens = "1 golden" if cases == 1 else f"{cases} goldens"
    if processes == 0:
        return f"recording {goldens}, without a fresh process to compare with"
    return f"recording {goldens}, each drawn again in {_fresh(processes)}"


def _fresh(processes: int) -> str:
    return "1 fresh process" if processes == 1 else f"{processes} fresh processes"


def print_recorded(library: GoldenLibrary, goldens: Sequence[Golden], processes: int) -> None:
    """Print the new goldens, how well they reproduce, and what to do next."""
    for golden in goldens:
        print(f"{golden.name:32} {golden.outcome[:12]}")
    if processes:
        print(f"\nEvery case had the same bits in this process and in {_fresh(processes)}.")
        if (bound := bound95(processes)) < 1:
            print(f"With 95% confidence, at most {bound:.0%} of processes would draw other bits.")
    else:
        print("\nNo fresh process drew these cases, so it is not known whether they reproduce.")
    print(f"\nlook at them    {library.root}/*/image.png\ncheck them      turbo-lab golden check")


def print_accepted(rows: Sequence[AcceptedCase]) -> None:
    """Print one line per case that was accepted."""
    for row in rows:
        _print_row(row)


def _print_row(row: AcceptedCase) -> None:
    if row.expires:
        status = f"accepted until {row.expires}; the golden stays"
    elif row.parent is None:
        status = "is the golden; it has no predecessor"
    else:
        status = f"is the golden; its predecessor was {row.parent[:12]}"
    print(f"{row.name:32} {row.outcome[:12]}  {status}")
    if row.was_known_bad:
        print(f"{'':32} was known bad ({row.was_known_bad}) and is no longer")
