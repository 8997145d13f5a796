"""``turbo-lab golden record``: record goldens of new cases."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from turbo_lab.cli.golden.new_cases import new_cases
from turbo_lab.cli.golden.options import processes_option
from turbo_lab.cli.options import json_option, words_argument
from turbo_lab.documents.golden import GoldenRecorded
from turbo_lab.documents.output import print_document
from turbo_lab.golden.document import Acceptance, Golden
from turbo_lab.golden.library import GoldenLibrary, open_own_library


@click.command("record")
@processes_option
@click.option("--reason", metavar="TEXT", help="Why the images are right.")
@json_option
@words_argument("[NAME [KEY=VALUE]...]")
def command(words: tuple[str, ...], processes: int, reason: str | None, as_json: bool) -> int:
    """Record a golden of each case that has none yet.

    \b
    turbo-lab golden record
    turbo-lab golden record my-case model=nano-turbo "prompt='a key on a red background'"

    Without a name, these are the cases in goldens/cases.json, or the standard cases if there
    is no such file. Existing goldens are never replaced.
    """
    from turbo_lab.golden import lifecycle
    from turbo_lab.golden.thresholds import library_thresholds

    library = open_own_library()
    cases = new_cases(library, words)
    recording = lifecycle.Recording(
        acceptance=Acceptance(reason or "first recording", lifecycle.current_user()),
        thresholds=library_thresholds(library),
        processes=processes,
    )
    print(_announcement(len(cases), processes), file=sys.stderr)
    goldens = lifecycle.record(library, cases, recording)
    if as_json:
        names = tuple(golden.name for golden in goldens)
        print_document(
            "golden record", GoldenRecorded(names, processes, lifecycle.bound95(processes))
        )
    else:
        _print_recorded(library, goldens, processes)
    return 0


def _announcement(cases: int, processes: int) -> str:
    goldens = "1 golden" if cases == 1 else f"{cases} goldens"
    if processes == 0:
        return f"recording {goldens}, without a fresh process to compare with"
    return f"recording {goldens}, each drawn again in {_fresh(processes)}"


def _fresh(processes: int) -> str:
    return "1 fresh process" if processes == 1 else f"{processes} fresh processes"


def _print_recorded(library: GoldenLibrary, goldens: Sequence[Golden], processes: int) -> None:
    from turbo_lab.golden.lifecycle import bound95

    for golden in goldens:
        print(f"{golden.name:32} {golden.outcome[:12]}")
    if processes:
        print(f"\nEvery case had the same bits in this process and in {_fresh(processes)}.")
        if (bound := bound95(processes)) < 1:
            print(f"With 95% confidence, at most {bound:.0%} of processes would draw other bits.")
    else:
        print("\nNo fresh process drew these cases, so it is not known whether they reproduce.")
    print(f"\nlook at them    {library.root}/*/image.png\ncheck them      turbo-lab golden check")
