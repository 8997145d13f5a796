"""``turbo-lab golden reject``: mark what this environment draws as known to be bad."""

from __future__ import annotations

import click

from turbo_lab.cli.options import json_option
from turbo_lab.documents.golden import GoldenRejected
from turbo_lab.documents.output import print_document
from turbo_lab.errors import InputError
from turbo_lab.golden.library import check_known, open_own_library


@click.command("reject")
@click.argument("name")
@click.option("--reason", metavar="TEXT", help="Why the images are wrong; required.")
@json_option
def command(name: str, reason: str | None, as_json: bool) -> int:
    """Mark what this environment generates as known to be bad.

    A check that generates the same bits then fails with the reason, at every tier.
    """
    from turbo_lab.golden import lifecycle

    library = open_own_library()
    cases = library.cases()
    if not reason:
        raise InputError("golden reject: say why with --reason TEXT")
    check_known([name], cases)
    outcome = lifecycle.reject(library, name, reason)
    if as_json:
        print_document("golden reject", GoldenRejected(name, outcome, reason))
    else:
        print(f"{name:32} {outcome[:12]}  is known bad: {reason}")
    return 0
