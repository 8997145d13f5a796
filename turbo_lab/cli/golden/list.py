"""``turbo-lab golden list``: the cases, and who accepted each golden."""

from __future__ import annotations

import click

from turbo_lab.cli.options import json_option
from turbo_lab.documents.golden import GoldenList, ListedCase
from turbo_lab.documents.output import print_document
from turbo_lab.golden.library import GoldenLibrary, open_library


@click.command("list")
@json_option
def command(as_json: bool) -> int:
    """List the cases: who accepted each golden, when and why."""
    library = open_library()
    rows = tuple(_row(library, name, overrides) for name, overrides in library.cases().items())
    if as_json:
        print_document("golden list", GoldenList(library.root.resolve(), rows))
    else:
        from turbo_lab.report.text.golden import print_list

        print_list(rows)
        print(f"\n{library.root}")
    return 0


def _row(library: GoldenLibrary, name: str, overrides: tuple[str, ...]) -> ListedCase:
    golden = library.read_if_any(name)
    anchor = golden.accepted[0] if golden else None
    return ListedCase(
        name=name,
        overrides=overrides,
        outcome=golden.outcome if golden else None,
        accepted_by=anchor.by if anchor else None,
        accepted_at=anchor.at if anchor else None,
        reason=anchor.reason if anchor else None,
        beside=len(golden.accepted) - 1 if golden else 0,
        known_bad=len(golden.known_bad) if golden else 0,
    )
