"""Sizes in the configs of a model that somebody else may have made.

Owns the largest counts and sizes that a config may name. Loaders make modules and arrays from
these numbers before they look at the weights, so that one number can fill the memory, or take for
ever.
"""

from __future__ import annotations

from collections.abc import Mapping

from turbo_lab.errors import InputError

_MAX_SIZE = 1_000_000
"""Largest integer: a vocabulary has some hundred thousand entries."""
_MAX_LAYERS = 1_000
"""Largest number of layers or blocks, and most values of a list."""
_COUNTS = ("layers", "blocks")
_LONG_LISTS = ("trained_betas",)


def check_sizes(config: Mapping[str, object], where: str) -> None:
    """Raise :class:`InputError` for a number or a list that no model of the family has.

    ``where`` names the config, for messages.
    """
    for key, value in config.items():
        values = value if isinstance(value, list) else [value]
        if len(values) > _MAX_LAYERS and key not in _LONG_LISTS:
            raise InputError(
                f"{where}: {key[:80]!a} lists {len(values):,} values; no model of the SDXL family "
                f"has more than {_MAX_LAYERS:,}: get the file again"
            )
        limit = _MAX_LAYERS if any(word in key for word in _COUNTS) else _MAX_SIZE
        for one in values:
            if isinstance(one, list):  # such as a number of layers per block and level
                check_sizes({key: one}, where)
            elif isinstance(one, int) and abs(one) > limit:
                raise _too_large(where, key, limit)


def _too_large(where: str, key: str, limit: int) -> InputError:
    return InputError(
        f"{where}: {key[:80]!a} is more than {limit:,}, which no model of the SDXL family has; get "
        "the file again"
    )
