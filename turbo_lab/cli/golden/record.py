"""``turbo-lab golden record``: record goldens of new cases."""

from __future__ import annotations

import sys

import click

from turbo_lab.cli.golden.new_cases import new_cases
from turbo_lab.cli.golden.options import processes_option
from turbo_lab.cli.grid import words_argument
from turbo_lab.cli.options import json_option
from turbo_lab.cli.own_groups import config_dir_option
from turbo_lab.documents.golden import GoldenRecorded
from turbo_lab.documents.output import print_document
from turbo_lab.golden.document import Acceptance
from turbo_lab.golden.library import open_own_library


@click.command("record")
@processes_option
@click.option("--reason", metavar="TEXT", help="Why the images are right.")
@json_option
@config_dir_option
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
    from turbo_lab.report.text.golden_lifecycle import announcement, print_recorded

    library = open_own_library()
    cases = new_cases(library, words)
    recording = lifecycle.Recording(
        acceptance=Acceptance(reason or "first recording", lifecycle.current_user()),
        thresholds=library_thresholds(library),
        processes=processes,
    )
    print(announcement(len(cases), processes), file=sys.stderr)
    goldens = lifecycle.record(library, cases, recording)
    if as_json:
        names = tuple(golden.name for golden in goldens)
        print_document(
            "golden record", GoldenRecorded(names, processes, lifecycle.bound95(processes))
        )
    else:
        print_recorded(library, goldens, processes)
    return 0
