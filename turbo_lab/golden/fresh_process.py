"""Draw cases in a fresh process, to find what depends on the process itself.

Owns the file that carries every stage of each case back. The process runs
:mod:`turbo_lab.trials.draw_cases`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from turbo_lab.cards import own_groups
from turbo_lab.errors import JudgementError
from turbo_lab.golden.stages import StageValue
from turbo_lab.untrusted.json_text import parse_json

Stages = tuple[StageValue, ...]
DrawFresh = Callable[[Mapping[str, Sequence[str]]], dict[str, Stages]]
"""Draws cases, given as name to overrides, in a fresh process."""

_METADATA = "stages"


def stages_in_fresh_process(cases: Mapping[str, Sequence[str]]) -> dict[str, Stages]:
    """Draw cases in a new process; return every stage of each case, by the case's name.

    Raises :class:`JudgementError` if the process fails.
    """
    with tempfile.TemporaryDirectory(prefix="turbo-lab-fresh-") as folder:
        file = Path(folder) / "stages.safetensors"
        own = own_groups()
        more = [] if own is None else [str(own)]
        done = subprocess.run(
            [sys.executable, "-m", "turbo_lab.trials.draw_cases", str(file), *more],
            input=json.dumps({name: list(overrides) for name, overrides in cases.items()}),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines() or ["no message"]
            raise JudgementError(
                f"golden: could not draw {', '.join(cases)} in a fresh process: {lines[-1]}"
            )
        return read_stages(file)


def read_stages(file: Path) -> dict[str, Stages]:
    """Read the file that :func:`write_stages` wrote."""
    from safetensors import safe_open

    with safe_open(file, "numpy") as tensors:
        listed = parse_json(tensors.metadata()[_METADATA])
        return {
            name: tuple(
                StageValue(stage, dtype, tensors.get_tensor(f"{name} {stage}"))
                for stage, dtype in stages
            )
            for name, stages in listed.items()
        }


def write_stages(file: Path, drawn: Mapping[str, Stages]) -> None:
    """Write every stage of each case, by the case's name, to a safetensors file."""
    from safetensors.numpy import save_file

    tensors = {f"{n} {v.stage}": v.values for n, stages in drawn.items() for v in stages}
    listed = {name: [(v.stage, v.dtype) for v in stages] for name, stages in drawn.items()}
    save_file(tensors, file, {_METADATA: json.dumps(listed)})
