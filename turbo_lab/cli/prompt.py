"""The prompt that the words of ``generate`` start with."""

from __future__ import annotations

from collections.abc import Sequence

from turbo_lab.errors import InputError


def split_prompt(words: Sequence[str], *, is_required: bool = True) -> tuple[str | None, list[str]]:
    """Return the prompt, if the first word is one, and the other words.

    Raises :class:`InputError` for two or an empty one, and for none if it is required.
    """
    from turbo_lab.config import is_key

    prompt, rest = None, list(words)
    if rest and not rest[0].startswith("-") and not is_key(rest[0]):
        prompt, *rest = rest
    named = [word for word in rest if word.startswith(("prompt=", "prompts="))]
    is_absent = prompt is None and not named and not any(word.startswith("-") for word in rest)
    if is_required and is_absent:
        raise InputError(
            'generate: give a prompt, as in turbo-lab generate "a red apple", or prompts=NAME'
        )
    if prompt is not None and named:
        raise InputError(f"generate: two prompts given ({prompt!r} and {named[0]}); pass only one")
    if prompt == "":
        raise InputError("generate: the prompt is empty; give at least one word")
    return prompt, rest
