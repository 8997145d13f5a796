"""``turbo-lab completion``, and the completion of ``KEY=VALUE`` words."""

from __future__ import annotations

from collections.abc import Sequence

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    add_completion_class,
    get_completion_class,
)

from turbo_lab.cli.keys import key_names, values_of

_SHELLS = ["bash", "zsh", "fish"]
_PLAIN = "COMPREPLY+=($value)"


class Bash(BashComplete):
    """click's script, without a space after ``key=``."""

    source_template = BashComplete.source_template.replace(
        _PLAIN, f"{_PLAIN}; if [[ $value == *= ]]; then compopt -o nospace; fi"
    )


add_completion_class(Bash, "bash")


@click.command("completion")
@click.argument("shell", type=click.Choice(_SHELLS))
def command(shell: str) -> int:
    """Print the script that completes commands, options, keys and values.

    For bash: eval "$(turbo-lab completion bash)", in ~/.bashrc to keep it.
    """
    from turbo_lab.cli.commands import turbo_lab

    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(turbo_lab, {}, "turbo-lab", "_TURBO_LAB_COMPLETE").source())
    return 0


def complete_keys(words: Sequence[str], incomplete: str) -> list[CompletionItem]:
    """Complete a key, or the value of a key.

    bash splits ``model=na`` at the equals sign and click drops that sign, so the key may
    be the word before.
    """
    if "=" in incomplete:
        key, _, value = incomplete.partition("=")
        return [
            CompletionItem(f"{key}={name}") for name in values_of(key) if name.startswith(value)
        ]
    before = next((word.removesuffix("=") for word in reversed(words) if word != "="), "")
    if before in key_names():
        return [CompletionItem(name) for name in values_of(before) if name.startswith(incomplete)]
    return [CompletionItem(f"{key}=") for key in key_names() if key.startswith(incomplete)]
