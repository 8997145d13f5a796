"""Every claim that is made of SDXL-Turbo, measured; prints one Markdown table.

    python -m experiments.claims [--family sdxl] [--num-images 64] [--loras A,B]

On the nano family by default; ``--family sdxl`` takes the real checkpoints from
the local Hugging Face cache. ``turbo-lab-store`` and the ``claims-*`` folders of
the working directory keep what is drawn, so that a run that was cut off goes on.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence

from experiments.claims import by_command
from experiments.claims.by_pipeline import pipeline
from experiments.claims.lab import FAMILIES, REAL, CommandError, Lab, Row, untested, with_loras

CLAIMS: Sequence[Callable[[Lab], list[Row]]] = (
    by_command.latency,
    by_command.vae_share,
    by_command.one_step,
    by_command.throughput,
    by_command.one_pass,
    by_command.sizes,
    by_command.components,
    by_command.quantised,
    by_command.adapters,
    by_command.guidance,
    by_command.seeds,
    by_command.licences,
    pipeline,
)


def rows(lab: Lab, claims: Sequence[Callable[[Lab], list[Row]]] = CLAIMS) -> Iterator[Row]:
    """Row after row; a claim whose command failed has one that says so."""
    for claim in claims:
        try:
            yield from claim(lab)
        except CommandError as error:
            yield untested((claim.__doc__ or claim.__name__).splitlines()[0], str(error))
    if lab.name == "nano":
        yield untested(
            "all of this of SDXL-Turbo, SDXL and LCM-LoRA themselves",
            "needs their weights and a GPU",
            REAL,
        )


def main() -> None:
    """Print the table, a row as soon as it is measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--family", choices=FAMILIES, default="nano")
    parser.add_argument("--num-images", type=int, default=128)
    parser.add_argument("--loras", default="", help="two adapters, A,B: names of cards, or files")
    args = parser.parse_args()
    family = with_loras(FAMILIES[args.family], args.loras)
    print("| claim | measured | verdict |\n| --- | --- | --- |", flush=True)
    for row in rows(Lab(family, args.family, args.num_images)):
        print(f"| {row.claim} | {row.measured} | {row.verdict} |", flush=True)


if __name__ == "__main__":
    main()
