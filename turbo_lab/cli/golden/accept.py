"""``turbo-lab golden accept``: accept what this environment draws."""

from __future__ import annotations

import datetime

import click

from turbo_lab.cli.golden.options import processes_option
from turbo_lab.cli.options import json_option
from turbo_lab.documents.golden import GoldenAccepted
from turbo_lab.documents.output import print_document
from turbo_lab.errors import InputError
from turbo_lab.golden.document import Acceptance, current_day
from turbo_lab.golden.library import check_known, open_own_library


@click.command("accept")
@click.argument("names", nargs=-1, metavar="NAME...")
@click.option("--reason", metavar="TEXT", help="Why the images are right; required.")
@click.option(
    "--expires", metavar="DAY", help="Keep the golden, and accept these images too until this day."
)
@processes_option
@json_option
def command(
    names: tuple[str, ...], reason: str | None, expires: str | None, processes: int, as_json: bool
) -> int:
    """Accept the images generated here as the new golden.

    \b
    turbo-lab golden accept my-case --reason "new VAE"
    turbo-lab golden accept my-case --reason "known bug" --expires 2027-01-31
    """
    from turbo_lab.golden import lifecycle
    from turbo_lab.golden.thresholds import library_thresholds

    day = None if expires is None else _day(expires)
    library = open_own_library()
    cases = library.cases()
    if not names or not reason:
        raise InputError(
            "golden accept: name the cases and say why, as in turbo-lab golden accept "
            'nano-turbo-1-step --reason "new VAE"'
        )
    check_known(names, cases)
    recording = lifecycle.Recording(
        acceptance=Acceptance(reason, lifecycle.current_user(), day),
        thresholds=library_thresholds(library),
        processes=processes,
    )
    rows = lifecycle.accept(library, names, recording)
    if as_json:
        print_document("golden accept", GoldenAccepted(tuple(rows)))
    else:
        from turbo_lab.report.text.golden_lifecycle import print_accepted

        print_accepted(rows)
    return 0


def _day(text: str) -> str:
    """Return a future date, in ISO 8601. Raises ``InputError``."""
    try:
        day = datetime.date.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"--expires={text}: must be a day such as 2027-01-31") from error
    if day < current_day():
        raise InputError(f"--expires={text}: has passed; give a day in the future")
    return day.isoformat()
