"""``turbo-lab show``: the recipe inside an image."""

from __future__ import annotations

from pathlib import Path

import click

from turbo_lab import images
from turbo_lab.cli.options import json_option
from turbo_lab.documents.document import read_value
from turbo_lab.documents.inspection import ShownImage
from turbo_lab.documents.output import print_document
from turbo_lab.errors import InputError, StoreError
from turbo_lab.untrusted.json_text import parse_json


@click.command("show")
@click.argument("image", type=click.Path(path_type=Path), metavar="IMAGE.png")
@json_option
def command(image: Path, as_json: bool) -> int:
    """Show the recipe in a PNG file, and whether its pixels have changed since."""
    pixels, text = images.read_png(image)
    if "turbo-lab" not in text:
        raise InputError(f"{image}: holds no turbo-lab recipe")
    about = _read(image, text["turbo-lab"], images.pixel_sha256(pixels))
    if as_json:
        print_document("show", about)
    else:
        print(text.get("parameters", ""))
        from turbo_lab.report.text.terminal import print_json

        print_json(about)
    return 0


def _read(path: Path, text: str, pixel_sha256: str) -> ShownImage:
    """Return the recipe in an image. Raises :class:`StoreError` if it is damaged."""
    try:
        about = parse_json(text)
    except ValueError as error:
        raise StoreError(f"{path}: its turbo-lab recipe is damaged ({error})") from error
    if isinstance(about, dict):
        about["pixels_intact"] = about.get("pixel_sha256") == pixel_sha256
    return read_value(ShownImage, about, f"{path}: its turbo-lab recipe")
