"""Credentials in addresses, which are never written or printed."""

from __future__ import annotations

import re

_USER = re.compile(r"(?<=://)[^\s/?#]*@")
_QUERY = re.compile(r"([?&][^=&\s]*(?:passw|pwd|secret|token|key)[^=&\s]*=)[^&\s]+", re.IGNORECASE)


def redact(text: str) -> str:
    """Return a text whose addresses have no user, password, token or key.

    ``http://me:secret@host/?token=abc`` becomes ``http://host/?token=***``.
    """
    return _QUERY.sub(r"\1***", _USER.sub("", text))
