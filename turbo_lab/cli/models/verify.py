"""``turbo-lab models verify``: hash every known weight file again."""

from __future__ import annotations

import click

from turbo_lab.cli.options import json_option
from turbo_lab.documents.models import ModelsVerified
from turbo_lab.documents.output import print_document
from turbo_lab.progress import waiting


@click.command("verify")
@json_option
def command(as_json: bool) -> int:
    """Rehash every known weight file; exit code 3 if one changed."""
    from turbo_lab.identity import DigestCache
    from turbo_lab.report.text.models import print_verified

    with waiting("hashing every known weight file"):
        found = list(DigestCache().verify())
    changed = [path for path, is_same in found if not is_same]
    verified = ModelsVerified(len(found), tuple(changed))
    if as_json:
        print_document("models verify", verified)
    else:
        print_verified(verified)
    return 3 if changed else 0
