"""``turbo-lab show``: the recipe inside an image."""

from __future__ import annotations

import json
from pathlib import Path

import click

from turbo_lab import images
from turbo_lab.cli.options import json_option
from turbo_lab.documents.output import print_document
from turbo_lab.errors import InputError


@click.command("show")
@click.argument("image", type=click.Path(path_type=Path), metavar="IMAGE.png")
@json_option
def command(image: Path, as_json: bool) -> int:
    """Show the recipe inside a PNG file, and whether its pixels are those that were drawn."""
    pixels, text = images.read_png(image)
    if "turbo-lab" not in text:
        raise InputError(f"{image}: holds no turbo-lab recipe")
    about = json.loads(text["turbo-lab"])
    about["pixels_intact"] = images.pixel_sha256(pixels) == about["pixel_sha256"]
    if as_json:
        print_document("show", about)
    else:
        print(text["parameters"])
        print(json.dumps(about, indent=2, ensure_ascii=False))
    return 0
