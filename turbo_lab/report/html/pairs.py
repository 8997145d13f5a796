"""Prompts on which two sides differ most, with their images side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from turbo_lab.report.html.page import Html, image, tag
from turbo_lab.report.html.pictures import Picture

_TINY = 256  # pixels: smaller images are enlarged without smoothing
Pictures = Mapping[str, Mapping[str, Picture]]
"""By side, then by prompt; what is not there is not shown."""


def prompt_pairs(
    found: Sequence[tuple[str, float]], sides: tuple[str, str], pictures: Pictures
) -> Html:
    """``found``: (prompt, difference), each with the image of either side."""
    return tag("div", *(_pair(*one, sides, pictures) for one in found), class_="pairs")


def _pair(prompt: str, value: float, sides: tuple[str, str], pictures: Pictures) -> Html:
    shown = [
        tag("figure", _image(pictures[side][prompt], f"{prompt}, {side}"), tag("figcaption", side))
        for side in sides
        if prompt in pictures.get(side, {})
    ]
    return tag("div", tag("div", *shown), tag("p", prompt, " ", tag("b", f"{value:+.3f}")),
               class_="pair")  # fmt: skip


def _image(picture: Picture, words: str) -> Html:
    kind = "tiny" if max(picture.width, picture.height) <= _TINY else None
    return image(picture.content, words, picture.mime, class_=kind,
                 width=picture.width, height=picture.height)  # fmt: skip
