"""JSON that another person may have written."""

from __future__ import annotations

import json
from typing import Any

# Our own documents have less than 20 levels. Python's recursion ends at some hundred.
_MAX_DEPTH = 100


def parse_json(content: str | bytes) -> Any:
    """Return the value of a JSON text. Raises ``ValueError`` for anything else.

    That includes text in another encoding than UTF-8 (16 and 32), numbers with thousands of
    digits, and more than 100 levels of lists and objects.
    """
    try:
        value = json.loads(content)
    except RecursionError:
        raise _too_deep() from None
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8 text") from None
    except json.JSONDecodeError:
        raise
    except ValueError:  # from int(): its message is about a setting of Python
        raise ValueError("a number has too many digits") from None
    _check_depth(value)
    return value


def _check_depth(value: Any) -> None:
    """Raise ``ValueError`` for more than :data:`_MAX_DEPTH` levels."""
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
    raise _too_deep()


def _too_deep() -> ValueError:
    return ValueError(f"it has more than {_MAX_DEPTH} levels of lists and objects")
