"""A plot of each stage by pipeline, as one SVG file that needs no library to read."""

from __future__ import annotations

from html import escape

from experiments.latency.results import Figures, Results

STAGES = ("text", "unet", "vae", "post", "other")
# Told apart without colour, too: from dark to light.
_COLOURS = ("#1b3a57", "#2f6690", "#6096ba", "#a3c4dc", "#dbe7f0")
_BAR, _GAP, _LABEL, _WIDTH, _TOP = 18, 6, 260, 620, 40


def stage_plot(results: Results) -> str:
    """Return stacked bars: milliseconds per image and stage, one bar per pipeline and point."""
    bars = [one for one in results.figures if one.stages_s and one.mean_s is not None]
    longest = max((_per_image_ms(one) for one in bars), default=1.0)
    height = _TOP + len(bars) * (_BAR + _GAP) + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LABEL + _WIDTH + 90}" '
        f'height="{height}" font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        *_legend(),
    ]
    if not bars:
        parts.append(f'<text x="10" y="{_TOP}">not measured</text>')
    for index, one in enumerate(bars):
        parts += _bar(one, _TOP + index * (_BAR + _GAP), _WIDTH / longest)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _per_image_ms(one: Figures) -> float:
    return 1e3 * sum((one.stages_s or {}).values()) / one.point.batch_size


def _bar(one: Figures, top: float, scale: float) -> list[str]:
    middle = top + _BAR - 5
    parts = [f'<text x="10" y="{middle}">{escape(f"{one.point}: {one.pipeline}")}</text>']
    left = float(_LABEL)
    for stage, colour in zip(STAGES, _COLOURS, strict=True):
        width = scale * 1e3 * max(0.0, (one.stages_s or {}).get(stage, 0.0)) / one.point.batch_size
        parts.append(
            f'<rect x="{left:.1f}" y="{top}" width="{width:.1f}" height="{_BAR}" fill="{colour}">'
            f"<title>{stage}</title></rect>"
        )
        left += width
    parts.append(f'<text x="{left + 5:.1f}" y="{middle}">{_per_image_ms(one):.3g} ms</text>')
    return parts


def _legend() -> list[str]:
    parts = ['<text x="10" y="20">milliseconds per image</text>']
    for index, (stage, colour) in enumerate(zip(STAGES, _COLOURS, strict=True)):
        left = _LABEL + 90 * index
        parts.append(f'<rect x="{left}" y="8" width="14" height="14" fill="{colour}"/>')
        parts.append(f'<text x="{left + 20}" y="20">{stage}</text>')
    return parts
