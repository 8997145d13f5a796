"""JSON that another person may have written."""

from __future__ import annotations

import json
import math
import re
from typing import Any

# Our own documents have less than 20 levels. Python's recursion ends at some hundred.
_MAX_DEPTH = 100
# An escape of, or a byte sequence for, half of a character outside the basic plane.
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")


def parse_json(content: str | bytes) -> Any:
    """Return the value of a JSON text. Raises ``ValueError`` for anything else.

    That includes text in another encoding than UTF-8 (16 and 32), numbers that are not finite or
    have thousands of digits, halves of characters, and more than 100 levels of lists and objects.
    What is returned can be written as JSON again, and so has a digest.
    """
    try:
        value = json.loads(content, parse_constant=_refuse_constant)
    except RecursionError:
        raise _too_deep() from None
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8 text") from None
    except (json.JSONDecodeError, _ConstantError):
        raise
    except ValueError:  # from int(): its message is about a setting of Python
        raise ValueError("a number has too many digits") from None
    _check_values(value)
    text = content if isinstance(content, str) else content.decode("utf-8", "surrogatepass")
    if _SURROGATE.search(text):
        _check_unicode(value)
    return value


class _ConstantError(ValueError):
    """NaN or infinity in a JSON text, which has neither."""


def _refuse_constant(name: str) -> None:
    raise _ConstantError(f"it has the number {name}, which JSON does not have")


def _check_unicode(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("a text is not valid Unicode: it has half of a character") from None


def _check_values(value: Any) -> None:
    """Raise ``ValueError`` for more than :data:`_MAX_DEPTH` levels, or a number beyond floats."""
    level = [value]
    for _ in range(_MAX_DEPTH):
        level = [
            child
            for parent in level
            if isinstance(parent, dict | list)
            for child in (parent.values() if isinstance(parent, dict) else parent)
        ]
        if not level:
            return
        if any(isinstance(child, float) and math.isinf(child) for child in level):
            raise ValueError("a number is too large")
    raise _too_deep()


def _too_deep() -> ValueError:
    return ValueError(f"it has more than {_MAX_DEPTH} levels of lists and objects")
