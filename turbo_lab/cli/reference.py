"""``turbo-lab reference build``: image statistics that distances are measured to."""

from __future__ import annotations

from pathlib import Path

import click

from turbo_lab.cli.grid import words_argument
from turbo_lab.cli.groups import Subcommands
from turbo_lab.cli.options import json_option, take_keys
from turbo_lab.cli.output_files import output_option
from turbo_lab.documents.output import print_document
from turbo_lab.errors import InputError


@click.group("reference", cls=Subcommands)
def command() -> None:
    """Build the image statistics that distances are measured to."""


@command.command("build")
@click.option("--features", is_flag=True, help="Keep each image's features, for kid and cmmd.")
@output_option("--output", "The .safetensors file to write.")
@json_option
@words_argument("FOLDER [metrics.extractor=NAME] [metrics.pretrained=FILE] [device=DEVICE]")
def build_(words: tuple[str, ...], features: bool, output: Path | None, as_json: bool) -> int:
    """Build a reference from a folder of images of one size.

    The extractor is named as a sweep names it; device=cuda computes its features there.
    """
    from turbo_lab.metrics.extractor_source import extractor_source
    from turbo_lab.report.text.reference import print_reference
    from turbo_lab.workflows.reference import folder_source, write

    rest, keys = take_keys(words, "metrics.extractor", "metrics.pretrained", "device")
    if len(rest) != 1:
        raise InputError(
            "reference: usage: reference build FOLDER [--features] [--output FILE] "
            "[metrics.extractor=NAME] [metrics.pretrained=FILE]"
        )
    extractor = extractor_source(
        keys.get("metrics.extractor", "nano-clip"), keys.get("metrics.pretrained")
    )
    source = folder_source(Path(rest[0]))
    built = write(source, extractor, keep=features, device=keys.get("device", "cpu"), output=output)
    if as_json:
        print_document("reference build", built)
    else:
        print_reference(built)
    return 0
