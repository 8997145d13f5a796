"""Licences of files to fetch, and weight files that changed, for the terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from turbo_lab.cards.hub import Download
from turbo_lab.documents.models import ModelsVerified


def print_downloads(needed: Sequence[Download]) -> None:
    """Print what would be fetched, with its licence, on standard error like the question."""
    for one in needed:
        text = (
            f"{one.card.repository}  {one.card.revision or 'its newest commit'}\n"
            f"  files    {', '.join(one.files or one.patterns)}\n"
            f"  licence  {one.card.license}\n"
            f"  read in  {one.card.license_source}"
        )
        print(text, file=sys.stderr)


def print_verified(verified: ModelsVerified) -> None:
    """Print the files that changed, and what that means for images drawn since."""
    for path in verified.changed:
        print(f"changed  {path}")
    if verified.changed:
        print("\nImages generated since then are in your stores under the old digest;")
        print("remove those batches, or start another store.")
    same = verified.n - len(verified.changed)
    print(f"{same} of {verified.n} files match their recorded digests")
