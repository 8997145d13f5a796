"""The world the nano family draws: one emoji on a plain background.

Owns the captions, the held-out split and the rendering of scenes. Refuses to
fetch anything: the SVG sets are npm packages (see ``fetch_icons.sh``) unpacked
under ``icons``.

A scene is 64x64: a 48 px thing, centred with an integer jitter of up to 3 px,
alpha-composited on a named colour with a jitter of sigma = 3 a channel.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from experiments.nano.device import device, seeded

SIZE = 64
THING_SIZE = 48
MAX_SHIFT = 3
COLOUR_SIGMA = 3.0
# Of the packaged references: renders of every held-out pair, and their generator's seed.
REFERENCE_RENDERS = 32
REFERENCE_SEED = 1

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (214, 64, 60),
    "blue": (66, 112, 214),
    "green": (84, 168, 92),
    "yellow": (246, 214, 90),
    "purple": (140, 92, 190),
    "orange": (242, 150, 66),
    "pink": (246, 176, 200),
    "white": (250, 250, 250),
    "black": (28, 28, 30),
    "gray": (150, 152, 156),
}
COLOUR_NAMES = tuple(COLOURS)
THINGS = tuple((Path(__file__).parent / "things.txt").read_text().split())

# The npm package behind each style; all three name their icons alike.
STYLES = {
    "noto": "noto",
    "flat": "fluent-emoji-flat",
    "ink": "fluent-emoji-high-contrast",
}


def caption(thing: int, colour: int) -> str:
    """``a red apple on a blue background`` for two indices."""
    return f"a {THINGS[thing].replace('-', ' ')} on a {COLOUR_NAMES[colour]} background"


def is_held_out(thing: int, colour: int) -> bool:
    """Whether the generators must never be shown this pair (128 of 640)."""
    return (3 * thing + 7 * colour) % 5 == 0


def pairs(split: str) -> list[tuple[int, int]]:
    """``(thing, colour)`` indices of ``all``, ``train`` or ``heldout``.

    Held-out pairs come as every thing's first, then every thing's second, so
    that the first 64 prompts name each thing once.
    """
    every = [(t, c) for t in range(len(THINGS)) for c in range(len(COLOURS))]
    if split == "all":
        return every
    if split == "train":
        return [p for p in every if not is_held_out(*p)]
    if split != "heldout":
        raise ValueError(f"split={split!r}: must be all, train or heldout")
    held = [p for p in every if is_held_out(*p)]
    return held[0::2] + held[1::2]


def _render_icon(icons: dict, name: str, size: int) -> np.ndarray:
    """One icon as (size, size, 4) uint8 RGBA, straight alpha."""
    import resvg_py

    while name not in icons["icons"]:
        name = icons["aliases"][name]["parent"]
    icon = icons["icons"][name]
    width = icon.get("width", icons.get("width", 16))
    height = icon.get("height", icons.get("height", 16))
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="0 0 {width} {height}" width="{size}" height="{size}">{icon["body"]}</svg>'
    )
    png = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=size, height=size))
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))


@dataclass(frozen=True)
class World:
    """Every thing in every style, ready to be pasted into scenes."""

    things: torch.Tensor
    """(styles, 64, 4, 48, 48) float32 in [0, 1], straight-alpha RGBA."""
    styles: tuple[str, ...]
    """The first axis of ``things``."""

    @classmethod
    def load(cls, icons_dir: str | Path) -> World:
        """Render the icons of all styles from ``icons_dir/<package>/icons.json``."""
        rows = []
        for package in STYLES.values():
            path = Path(icons_dir) / package / "icons.json"
            if not path.exists():
                raise FileNotFoundError(f"{path}: run `bash experiments/nano/fetch_icons.sh` first")
            icons = json.loads(path.read_text())
            rows.append(np.stack([_render_icon(icons, name, THING_SIZE) for name in THINGS]))
        rgba = torch.from_numpy(np.stack(rows)).permute(0, 1, 4, 2, 3).float() / 255
        return cls(things=rgba.contiguous().to(device()), styles=tuple(STYLES))

    def scenes(
        self,
        things: torch.Tensor,
        colours: torch.Tensor,
        generator: torch.Generator,
        style: str | torch.Tensor = "noto",
    ) -> torch.Tensor:
        """Draw scenes: (N,) and (N,) indices to (N, 3, 64, 64) float32 in [0, 1], RGB."""
        n = len(things)
        if isinstance(style, str):
            style = torch.full((n,), self.styles.index(style))
        base = torch.tensor(list(COLOURS.values()), dtype=torch.float32)[colours]
        jitter = torch.randn(n, 3, generator=generator) * COLOUR_SIGMA
        background = ((base + jitter).round().clamp(0, 255) / 255)[:, :, None, None]
        shift = torch.randint(-MAX_SHIFT, MAX_SHIFT + 1, (n, 2), generator=generator)
        rgba = self.things[style, things]
        # Black ink would vanish on black: there the ink is white.
        on_black = (style == self.styles.index("ink")) & (colours == COLOUR_NAMES.index("black"))
        rgb = torch.where(on_black[:, None, None, None], 0.96, rgba[:, :3])
        images = background.expand(n, 3, SIZE, SIZE).clone()
        start = (SIZE - THING_SIZE) // 2 + shift
        rows = start[:, 0, None] + torch.arange(THING_SIZE)
        columns = start[:, 1, None] + torch.arange(THING_SIZE)
        index = (torch.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :])
        alpha = rgba[:, 3:].permute(0, 2, 3, 1)
        canvas = images.permute(0, 2, 3, 1)
        canvas[index] = alpha * rgb.permute(0, 2, 3, 1) + (1 - alpha) * canvas[index]
        return images.clamp_(0, 1)

    def renders(self, split: str, style: str, times: int, seed: int) -> Iterator[np.ndarray]:
        """Every pair of a split, ``times`` over: (pairs, 64, 64, 3) uint8 each time."""
        where = torch.tensor(pairs(split))
        generator = seeded(seed)
        for _ in range(times):
            yield to_uint8(self.scenes(where[:, 0], where[:, 1], generator, style)).cpu().numpy()


def to_uint8(images: torch.Tensor) -> torch.Tensor:
    """(N, 3, H, W) in [0, 1] to (N, H, W, 3) uint8, clamped and rounded."""
    return images.clamp(0, 1).mul(255).round().to(torch.uint8).permute(0, 2, 3, 1)
