"""Build the packaged reference ``scenes-heldout`` again, from the nano family's own icons.

``python -m experiments.nano.reference [--features] [--output FILE]`` renders the held-out
pairs as training did; run ``bash experiments/nano/fetch_icons.sh`` first.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from experiments.nano import world
from turbo_lab.metrics.extractor_source import extractor_source
from turbo_lab.report.text.reference import print_reference
from turbo_lab.workflows.reference import Source, write

ICONS = Path(__file__).parent / "work" / "icons"


def scenes(icons: Path) -> Source:
    """Return renders of the held-out pairs; raises ``FileNotFoundError`` without the icons."""
    renders = world.World.load(icons).renders(
        "heldout", "noto", world.REFERENCE_RENDERS, world.REFERENCE_SEED
    )
    count = world.REFERENCE_RENDERS * len(world.pairs("heldout"))
    about = {"seed": str(world.REFERENCE_SEED), "style": "noto"}
    return Source("scenes-heldout", count, renders, about)


def main() -> None:
    """Build it by the packaged extractor and print where it is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--features", action="store_true", help="keep each image's features")
    parser.add_argument("--output", help="the file to write (default: named by its content)")
    options = parser.parse_args()
    try:
        source = scenes(ICONS)
    except FileNotFoundError as error:
        parser.error(str(error))
    extractor = extractor_source("nano-clip", None)
    print_reference(write(source, extractor, options.features, "cpu", options.output))


if __name__ == "__main__":
    main()
