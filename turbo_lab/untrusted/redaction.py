"""Credentials in addresses, which are never written or printed."""

from __future__ import annotations

import re

_USER = re.compile(r"(?<=://)[^\s/?#]*@")
# Both take a time that grows with the text and no faster: a server may send any text as an error.
_PAIR = re.compile(r"[?&]([^=&?\s]*)=[^&\s]+")
_SECRET = re.compile(r"passw|pwd|secret|token|key", re.IGNORECASE)


def redact(text: str) -> str:
    """Return a text whose addresses have no user, password, token or key.

    ``http://me:secret@host/?token=abc`` becomes ``http://host/?token=***``.
    """
    return _PAIR.sub(_without_secret, _USER.sub("", text))


def _without_secret(pair: re.Match[str]) -> str:
    """Return one ``NAME=VALUE`` of an address, without a value that its name calls a secret."""
    return f"{pair[0][0]}{pair[1]}=***" if _SECRET.search(pair[1]) else pair[0]
