"""A record that was drawn again, for the terminal."""

from __future__ import annotations

from turbo_lab.documents.inspection import Reproduction


def print_reproduction(found: Reproduction) -> None:
    """Print the verdict, the first divergence and the keys of the environment that differ."""
    print(f"{found.verdict}: {found.message}")
    print(f"{found.num_identical} of {found.num_images} images identical to the bit")
    if found.first_divergence is not None:
        first = found.first_divergence
        print(f"first divergence  {first.stage}, {first.max_abs} levels in {first.image}")
    for row in found.fingerprint_difference:
        print(f"{row.key:17} {row.recorded} -> {row.here}")
