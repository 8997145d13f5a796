"""Numbers as text for people."""

from __future__ import annotations


def significant(value: float, digits: int = 4) -> str:
    """Return a number with ``digits`` significant digits, and whole below a million.

    ``1.235e+04`` is hard to read in a column of milliseconds; 12346 is not.
    """
    if 10**digits - 0.5 <= abs(value) < 999_999.5:
        return f"{value:.0f}"
    return f"{value:.{digits}g}"
