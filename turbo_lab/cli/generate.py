"""``turbo-lab generate``: draw images into a folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import click

from turbo_lab.cli.options import GridCommand, grid_options, json_option, with_hydra, words_argument
from turbo_lab.errors import InputError


@click.command("generate", cls=GridCommand)
@json_option
@grid_options
@words_argument("[PROMPT] [KEY=VALUE]...")
def command(words: tuple[str, ...], as_json: bool, **hydra: Any) -> int:
    """Draw images from a prompt, or from a prompt set with prompts=NAME.

    \b
    turbo-lab generate "a red apple on a blue background" seed=7 num_images=4
    """
    from turbo_lab import config
    from turbo_lab.workflows.sweep import run_points

    prompt, rest = _prompt(with_hydra(words, hydra))
    points = config.compose("generate", rest)
    if prompt is not None:
        # Not through Hydra's grammar, which gives backslashes, braces and equals signs a meaning.
        points = [
            dataclasses.replace(point, values={**point.values, "prompt": prompt})
            for point in points
        ]
    return run_points("generate", points, as_json) if points else 0


def _prompt(words: Sequence[str]) -> tuple[str | None, list[str]]:
    """Return the prompt, if the first word is one, and the other words."""
    from turbo_lab.config import is_key

    prompt, rest = None, list(words)
    if rest and not rest[0].startswith("-") and not is_key(rest[0]):
        prompt, *rest = rest
    named = [word for word in rest if word.startswith(("prompt=", "prompts="))]
    if prompt is None and not named and not any(word.startswith("-") for word in rest):
        raise InputError(
            'generate: give a prompt, as in turbo-lab generate "a red apple", or prompts=NAME'
        )
    if prompt is not None and named:
        raise InputError(f"generate: two prompts given ({prompt!r} and {named[0]}); pass only one")
    if prompt == "":
        raise InputError("generate: the prompt is empty; give at least one word")
    return prompt, rest
