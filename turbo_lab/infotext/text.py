"""The form of an infotext: prompt, negative prompt, and one line of settings.

Reads what A1111's ``parse_generation_parameters`` reads, in time that is linear in the length of
the text: the text may be anybody's. Refuses nothing; what is not a setting is left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

NEGATIVE = "Negative prompt:"
# With fewer settings, A1111 takes the last line for a part of the prompt.
_FEWEST_SETTINGS = 3
_NAME = re.compile(r"\w[\w \-/]*")
# Everything but tab and line feed that a reader may act upon, and halves of surrogate pairs.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_JSON, _END = json.JSONDecoder(), re.compile(r" {0,20}(?:,|$)")


@dataclass(frozen=True)
class Infotext:
    """The ``parameters`` text of one image."""

    prompt: str
    """The prompt, in A1111's syntax."""
    negative_prompt: str = ""
    """The negative prompt, in A1111's syntax; empty: there is none."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Settings by name, such as ``Steps``, in order."""

    def __str__(self) -> str:
        """Return the text."""
        lines = [_one_prompt(self.prompt)]
        if self.negative_prompt:
            lines.append(f"{NEGATIVE} {_one_prompt(self.negative_prompt)}")
        pairs = (f"{name}: {_quoted(value)}" for name, value in self.settings.items())
        return "\n".join([*lines, ", ".join(pairs)])

    @classmethod
    def parse(cls, text: str) -> Infotext:
        """Return the parts of a text; any text is one."""
        *lines, last = _clean(text).strip().split("\n")
        settings = dict(_settings(last))
        if len(settings) < _FEWEST_SETTINGS:
            lines, settings = [*lines, last], {}
        prompt: list[str] = []
        negative: list[str] = []
        current = prompt
        for line in map(str.strip, lines):
            if line.startswith(NEGATIVE):
                current, line = negative, line.removeprefix(NEGATIVE).strip()
            current.append(line)
        return cls("\n".join(prompt).strip(), "\n".join(negative).strip(), settings)


def is_infotext(text: str) -> bool:
    """Return whether a text ends in a line of settings with its number of steps."""
    return "Steps" in Infotext.parse(text).settings


def _clean(text: str) -> str:
    """Return a text with ``\\n`` between its lines, and a space for each control character."""
    return _CONTROL.sub(" ", text.replace("\r\n", "\n").replace("\r", "\n"))


def _one_prompt(prompt: str) -> str:
    """Return a prompt of which no line starts a negative prompt, or would be read as settings."""
    first, *rest = (line.strip() for line in _clean(prompt).strip().split("\n"))
    shown = first
    for line in rest:
        is_marked = line.startswith(NEGATIVE)
        shown += (" " if is_marked else "\n") + line
    return f"_{shown}" if shown.startswith(NEGATIVE) else shown


def _quoted(value: str) -> str:
    """Return a value as A1111's ``quote`` does: as JSON, if it holds what ends a value."""
    value = _clean(value).strip()
    if not set(',\n:"') & set(value) and value[:1] not in ("{", "["):
        return value
    return json.dumps(value, ensure_ascii=False)


def _settings(line: str) -> Iterator[tuple[str, str]]:
    """Yield the ``name: value`` pairs of a line; commas inside quotes and JSON do not end one."""
    at = 0
    while at < len(line):
        comma, colon = line.find(",", at), line.find(":", at)
        if colon < 0:
            return
        if 0 <= comma < colon:  # a part without a name
            at = comma + 1
            continue
        name = line[at:colon].strip()
        value, at = _value(line, colon + 1)
        if _NAME.fullmatch(name):
            yield name, value


def _value(line: str, start: int) -> tuple[str, int]:
    """Return the value that begins at ``start``, and where the next pair begins."""
    while line[start : start + 1] == " ":
        start += 1
    if line[start : start + 1] in ('"', "{", "["):
        try:
            found, end = _JSON.raw_decode(line, start)
        except (ValueError, RecursionError):
            pass
        else:
            text = found if isinstance(found, str) else line[start:end]
            if after := _END.match(line, end):
                return _clean(text).strip(), after.end()
    comma = line.find(",", start)
    end = len(line) if comma < 0 else comma
    return line[start:end].strip(), end + 1
