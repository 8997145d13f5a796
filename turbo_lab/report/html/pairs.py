"""Prompts on which two sides differ most, with their images next to each other.

The script ``pairs`` opens what carries ``data-pair``: two images, and their title.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from turbo_lab.report.html.page import Html, image, tag
from turbo_lab.report.html.pictures import Picture

_TINY = 256  # pixels: smaller images are enlarged without smoothing
PAIR_SCRIPTS = ("viewer", "pairs")
"""Scripts of a page with pairs of images."""
Pictures = Mapping[str, Mapping[str, Picture]]
"""Images by side, then by prompt; an image that is missing is left out of the page."""


def prompt_pairs(
    found: Sequence[tuple[str, float]], sides: tuple[str, str], pictures: Pictures
) -> Html:
    """Return the prompts with their differences and the images of both sides."""
    return tag("div", *(_pair(*one, sides, pictures) for one in found), class_="pairs")


def _pair(prompt: str, value: float, sides: tuple[str, str], pictures: Pictures) -> Html:
    shown = [
        tag("figure", _image(pictures[side][prompt], f"{prompt}, {side}"), tag("figcaption", side))
        for side in sides
        if prompt in pictures.get(side, {})
    ]
    caption = tag("p", prompt, " ", tag("b", f"{value:+.3f}"))
    return tag("div", tag("div", *shown), caption, class_="pair", data_pair=prompt)


def _image(picture: Picture, words: str) -> Html:
    kind = "tiny" if max(picture.width, picture.height) <= _TINY else None
    return opens(
        image(
            picture.content,
            words,
            picture.mime,
            class_=kind,
            width=picture.width,
            height=picture.height,
        )
    )


def opens(shown: Html) -> Html:
    """Return an image as a button that opens it in the viewer, next to the other of its pair."""
    return tag("button", shown, type="button", class_="opens")
