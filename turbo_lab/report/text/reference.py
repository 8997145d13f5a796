"""A reference that was built, for the terminal."""

from __future__ import annotations

import sys

from turbo_lab.documents.inspection import ReferenceBuilt


def print_reference(built: ReferenceBuilt) -> None:
    """Print what was built and how to use it; warnings go to standard error."""
    for text in built.warnings:
        print(f"warning: {text}", file=sys.stderr)
    kept = "with" if built.features else "without"
    print(f"reference   {built.path}")
    print(f"images      {built.n}, {kept} their {built.num_features} features each")
    print(f"extractor   {built.extractor_name} ({built.extractor[:12]})")
    print(f"digest      {built.digest[:12]}")
    print(f"\nuse it      turbo-lab sweep reference={built.path}")
    if not built.features:
        print("for kid and cmmd, build it with --features")
