"""``turbo-lab COMMAND --help``: usage, and the keys with their values and what they mean.

Owns no text of its own: usage lines are the docstrings of the commands, keys and
their comments the lines of ``conf/config.yaml``, so that neither can fall behind.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from turbo_lab.cards import conf_dir

# Commands that take a grid, with an example of each.
_GRIDS = {
    "generate": '"a red apple on a blue background" seed=7 num_images=4',
    "plan": "num_inference_steps=1,2,4 guidance_scale=0,2",
    "sweep": "num_inference_steps=1,2,4 lora=none,ink@0.8 prompts=scenes-demo",
    "bench": "batch_size=1,8,32 timing=full",
    "compare": "model=nano-turbo baselines=nano-sdxl,nano-lcm num_images=64",
    "gate": "gate=release baseline.model=nano-turbo candidate.scheduler=LCMScheduler",
    "sync": "tracking=server tracking.uri=http://localhost:5000",
}
_GROUPS = ("model", "prompts", "sweep", "metrics", "tracking", "gate")


def command_help(command: str, overview: str) -> str:
    """What ``--help`` prints for a command; ``overview`` is the text of ``turbo-lab --help``."""
    lines = [line for line in overview.splitlines() if line.startswith(f"  turbo-lab {command} ")]
    parts = ["\n".join([*lines, *_usage(command)])]
    if command in _GRIDS:
        parts += [f"For example:\n  turbo-lab {command} {_GRIDS[command]}", _keys(), _choices()]
        parts.append(
            "A list of values sweeps, several keys make a grid, range(1,5) counts. A group's own\n"
            "keys are written group.key=VALUE. Hydra's --cfg job prints the whole config, and\n"
            "--shell-completion installs completion."
        )
    return "\n\n".join(parts) + "\n"


def _usage(command: str) -> Iterator[str]:
    """Of its subcommands: first lines of docstrings that begin with the command's name."""
    package = Path(__file__).parent.parent
    for path in sorted(package.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                line = (ast.get_docstring(node) or "").partition("\n")[0]
                if line.startswith((f"``{command} ", f"``{command}``")):
                    yield "  turbo-lab " + _unmarked(line)


def _unmarked(line: str) -> str:
    line = re.sub("``(, | or )``", " | ", line.rstrip("."))
    return line.replace("``: ", "   ").replace("``", "")


def _keys() -> str:
    """The keys of ``config.yaml``, with their values and comments."""
    text = (conf_dir() / "config.yaml").read_text(encoding="utf-8")
    rows = re.findall(r"^([a-z_]+): ([^#\n]*?) *(?:# (.*))?$", text, flags=re.MULTILINE)
    lines = [f"  {f'{key}={_default(value)}':38} {note}".rstrip() for key, value, note in rows]
    return "\n".join(["Keys, with their values where none is given:", *lines])


def _default(value: str) -> str:
    """``${model.recommended.x}`` says where it comes from."""
    return "(the model's)" if value.startswith("${model.") else value


def _choices() -> str:
    lines = []
    for group in _GROUPS:
        names = sorted(path.stem for path in (conf_dir() / group).glob("*.yaml"))
        lines.append(f"  {group + '=':38} {', '.join(names)}")
    return "\n".join(["Groups:", *lines])
