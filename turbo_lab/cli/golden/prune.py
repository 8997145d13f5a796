"""``turbo-lab golden prune``: remove goldens that no case names."""

from __future__ import annotations

import click

from turbo_lab.cli.options import json_option
from turbo_lab.documents.golden import GoldenPruned
from turbo_lab.documents.output import print_document
from turbo_lab.golden.library import open_own_library


@click.command("prune")
@json_option
def command(as_json: bool) -> int:
    """Remove goldens that no case names."""
    library = open_own_library()
    orphans = library.orphans()
    for name in orphans:
        library.remove(name)
    if as_json:
        print_document("golden prune", GoldenPruned(tuple(orphans)))
        return 0
    for name in orphans:
        print(f"removed {library.root / name}")
    if not orphans:
        print("nothing to remove: every golden belongs to a case")
    return 0
