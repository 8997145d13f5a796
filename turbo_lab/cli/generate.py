"""``turbo-lab generate``: draw images into a folder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from turbo_lab.cli.grid import GridCommand, words_argument
from turbo_lab.cli.hydra_flags import grid_options, with_hydra
from turbo_lab.cli.options import json_option
from turbo_lab.cli.prompt import split_prompt

if TYPE_CHECKING:
    from turbo_lab.api.image_words import GenerateWords


@click.command("generate", cls=GridCommand)
@click.option(
    "--from",
    "image",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Draw an image again from the text in it (turbo-lab's own, A1111's or Forge's).",
)
@json_option
@grid_options
@words_argument("[PROMPT] [KEY=VALUE]...")
def command(words: tuple[str, ...], image: Path | None, as_json: bool, **hydra: Any) -> int:
    """Generate images from a prompt, a prompt set (prompts=NAME), or the text in an image.

    \b
    turbo-lab generate "a red apple on a blue background" seed=7 num_images=4
    turbo-lab generate --from apple.png seed=8

    Keys take precedence over those that --from reads.
    """
    from turbo_lab.api.image_words import GenerateWords

    prompt, rest = split_prompt(with_hydra(words, hydra), is_required=image is None)
    named = GenerateWords.compose(prompt, rest, image)
    return _generate(named, as_json) if named.points else 0


def _generate(named: GenerateWords, as_json: bool) -> int:
    """Draw a grid's images and print the path of each; return the exit code."""
    from turbo_lab.documents.output import print_document
    from turbo_lab.documents.results import GeneratedImages
    from turbo_lab.planning.resolved_sweep import measuring, resolve_points
    from turbo_lab.progress import StderrProgress
    from turbo_lab.store.record import FLAGGED, CellStatus
    from turbo_lab.workflows.generate import make_output_folder, save_images
    from turbo_lab.workflows.sweep import run_sweep

    resolved = resolve_points(named.points)
    checker = resolved.options.metrics.safety_checker
    sweep = measuring(resolved, () if checker is None else (FLAGGED,))
    notes = named.notes(sweep)
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    make_output_folder(sweep.options.output)
    progress = StderrProgress()
    try:
        done = run_sweep(sweep, progress)
    finally:
        progress.end()
    saved = save_images(done, sweep.options.output)
    if as_json:
        print_document("generate", GeneratedImages(tuple(saved), done.outcome.load_s, notes))
    else:
        for image in saved:
            flagged = "  flagged by the safety checker" if image.flagged else ""
            print(f"{image.path}  {image.pixel_sha256[:12]}{flagged}")
    records = done.outcome.records.values()
    return 3 if any(record.status == CellStatus.FAILED for record in records) else 0
