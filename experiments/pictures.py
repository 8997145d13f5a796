"""Draw the packaged source images: ``python -m experiments.pictures``.

Simple shapes, drawn by code alone, so that nobody else has a right in them. One is larger than
an image of the nano family and has another aspect ratio, one has its size.
"""

from __future__ import annotations

from PIL import Image, ImageDraw

from turbo_lab.request.source import PICTURES

SHAPES = PICTURES / "shapes"
"""Folder of the set that ``image=shapes`` names."""


def circle() -> Image.Image:
    """Return an orange disc on blue ground, 144x96."""
    picture = Image.new("RGB", (144, 96), (40, 90, 200))
    ImageDraw.Draw(picture).ellipse((38, 14, 106, 82), fill=(245, 150, 40))
    return picture


def house() -> Image.Image:
    """Return a red house with a dark door on a green meadow, 64x64."""
    picture = Image.new("RGB", (64, 64), (150, 205, 240))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 46, 63, 63), fill=(90, 170, 80))
    draw.rectangle((16, 28, 47, 54), fill=(200, 60, 50))
    draw.polygon(((10, 28), (53, 28), (31, 10)), fill=(110, 60, 40))
    draw.rectangle((27, 38, 36, 54), fill=(50, 40, 40))
    return picture


PICTURES_BY_NAME = {"circle": circle, "house": house}
"""Function of each picture, by the name of its file."""


def main() -> None:
    """Write every picture."""
    SHAPES.mkdir(parents=True, exist_ok=True)
    for name, draw in PICTURES_BY_NAME.items():
        draw().save(SHAPES / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
