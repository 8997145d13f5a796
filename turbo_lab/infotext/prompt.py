"""The prompt syntax of A1111 and Forge: attention weights, editing, BREAK, and networks.

Owns how a plain prompt is written in it, and what is left when it is read as a plain prompt.
Every pattern takes time that is linear in the length of the text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_SPECIAL = re.compile(r"[\\()\[\]]")
_TOKEN = re.compile(
    r"(?P<escaped>\\[\\()\[\]])|(?P<lone>\\)"
    r"|(?P<weight>:[ \t]{0,20}[+-]?[.\d]{1,20}[ \t]{0,20}\))|(?P<bracket>[()\[\]])"
    r"|(?P<text>[^\\()\[\]:]+|:)"
)
_NETWORK = re.compile(r"<(\w{1,40}):([^<>\n]{1,1000})>")
_EDIT = re.compile(r"(?<!\\)\[([^\\()\[\]:|]*):(?:([^\\()\[\]:|]*):)?[ \t]{0,20}[\d.]{1,20} ?\]")
_ALTERNATE = re.compile(r"(?<!\\)\[([^\\()\[\]:|]*)\|[^\\()\[\]:]*\]")
_BREAK, _AND = re.compile(r"\bBREAK\b"), re.compile(r"\bAND\b")


@dataclass(frozen=True)
class Network:
    """A ``<kind:name:weight>`` in a prompt."""

    kind: str
    """Kind of network, such as ``lora``, in lower case."""
    name: str
    """Name of its file, without the ending."""
    arguments: tuple[str, ...]
    """Texts after the name: a weight for both parts, or one each."""


@dataclass(frozen=True)
class PlainPrompt:
    """A prompt without A1111's syntax."""

    text: str
    """The words that a text encoder gets."""
    networks: tuple[Network, ...]
    """The networks that it names, in order."""
    dropped: tuple[str, ...]
    """Syntax that had a meaning and is dropped, in words."""


def escaped(text: str) -> str:
    """Return a plain prompt in A1111's syntax: brackets and backslashes keep no other meaning."""
    return _SPECIAL.sub(lambda found: f"\\{found[0]}", text)


def network_name(name: str) -> str:
    """Return the name of a network without the characters that would end it."""
    return re.sub(r"[:<>,\"\n]", "_", name)


def plain_prompt(prompt: str) -> PlainPrompt:
    """Return the words of a prompt in A1111's syntax, and what it said in addition to them."""
    networks = tuple(
        Network(found[1].lower(), name.strip(), tuple(arguments))
        for found in _NETWORK.finditer(prompt)
        for name, *arguments in [found[2].split(":")]
    )
    text, dropped = _NETWORK.sub("", prompt), []
    text, number = _EDIT.subn(lambda found: found[1] or found[2] or "", text)
    if number:
        dropped.append("prompt editing ([a:b:0.5]): its first text is drawn in all steps")
    text, number = _ALTERNATE.subn(r"\1", text)
    if number:
        dropped.append("alternating words ([a|b]): the first is drawn in all steps")
    text, is_weighted = _without_weights(text)
    if is_weighted:
        dropped.append("attention weights: all words have weight 1")
    for word, meaning in ((_BREAK, "starts no new window"), (_AND, "joins the prompts as one")):
        parts = word.split(text)
        if len(parts) > 1:
            text = " ".join(filter(None, (part.strip() for part in parts)))
            dropped.append(f"{word.pattern[2:-2]}: {meaning}")
    return PlainPrompt(text.strip(" ,\n") if networks else text.strip(), networks, tuple(dropped))


def _without_weights(text: str) -> tuple[str, bool]:
    """Return a text without brackets and weights, escapes resolved, and if there were any."""
    shown: list[str] = []
    is_weighted = False
    for found in _TOKEN.finditer(text):
        token = found[0]
        if found["escaped"]:
            shown.append(token[1:])
        elif found["text"]:
            shown.append(token)
        elif found["weight"] or found["bracket"]:
            is_weighted = True
    return "".join(shown), is_weighted
