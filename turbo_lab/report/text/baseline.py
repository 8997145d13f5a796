"""A baseline that was kept, for the terminal."""

from __future__ import annotations

from turbo_lab.documents.results import BaselineSet


def print_kept(done: BaselineSet) -> None:
    """Print the file and its digest, and the digest that it replaced."""
    if done.replaced is None:
        was = ""
    elif done.replaced == done.digest:
        was = "  unchanged"
    else:
        was = f"  was {done.replaced[:12]}"
    print(f"{done.path}  {done.digest[:12]}{was}")
