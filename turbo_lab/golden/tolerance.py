"""How much pictures differ, and how much a caller lets them differ.

For pictures that need not be equal to the bit. The tiers of :mod:`turbo_lab.golden.tiers` decide
what an environment explains; a tolerance is the caller's own, and holds in every environment.
"""

from __future__ import annotations

from dataclasses import dataclass

from turbo_lab.analysis import similarity
from turbo_lab.errors import InputError
from turbo_lab.golden.stages import Values


@dataclass(frozen=True)
class PixelDifference:
    """Difference of some pictures from those of a golden."""

    max_abs: int
    """Largest difference of a channel, in levels of 255."""
    psnr: float
    """Peak signal-to-noise ratio of the worst picture, in dB; infinite if all are equal."""
    share: float
    """Share of the pixels that differ, in [0, 1]."""

    @property
    def text(self) -> str:
        """The difference in words."""
        return (
            f"pixels differ by up to {self.max_abs} of 255, PSNR {self.psnr:.1f} dB, "
            f"{self.share:.2%} of the pixels"
        )


def pixel_difference(expected: Values | None, actual: Values | None) -> PixelDifference | None:
    """Compare (N, H, W, 3) uint8 pictures; ``None`` if one is missing or the shapes differ."""
    if expected is None or actual is None or expected.shape != actual.shape:
        return None
    pairs = list(zip(expected, actual, strict=True))
    rates = [similarity.exact_pixel_rate(*pair) for pair in pairs]
    return PixelDifference(
        max_abs=max(similarity.max_abs(*pair) for pair in pairs),
        psnr=min(similarity.psnr(*pair) for pair in pairs),
        share=1 - sum(rates) / len(rates),
    )


@dataclass(frozen=True)
class Tolerance:
    """Largest difference of pictures that a caller accepts; both limits apply if both are given."""

    max_abs: int | None = None
    """Largest difference of a channel, in levels of 255. ``None``: any."""
    min_psnr: float | None = None
    """Smallest peak signal-to-noise ratio of any picture, in dB. ``None``: any."""

    def __post_init__(self) -> None:
        if self.max_abs is not None and not 0 <= self.max_abs <= 255:
            raise InputError(f"max_abs={self.max_abs}: must be from 0 to 255 levels")
        if self.min_psnr is not None and not self.min_psnr > 0:
            raise InputError(f"min_psnr={self.min_psnr}: must be more than 0 dB")

    def allows(self, found: PixelDifference | None) -> bool:
        """Return whether pictures may differ so much; never if they cannot be compared."""
        if found is None or (self.max_abs is None and self.min_psnr is None):
            return False
        is_near = self.max_abs is None or found.max_abs <= self.max_abs
        return is_near and (self.min_psnr is None or found.psnr >= self.min_psnr)
