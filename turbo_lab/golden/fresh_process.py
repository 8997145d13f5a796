"""Draw cases in a fresh process, which shows what depends on the process itself.

Owns the file that brings every stage of each case back; the process runs
:mod:`turbo_lab.trials.draw_cases`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from turbo_lab.errors import JudgementError
from turbo_lab.golden.stages import StageValue

Stages = tuple[StageValue, ...]
DrawFresh = Callable[[Mapping[str, Sequence[str]]], dict[str, Stages]]
"""Draws cases, given as name to overrides, in a fresh process."""


def stages_in_fresh_process(cases: Mapping[str, Sequence[str]]) -> dict[str, Stages]:
    """Draw cases in a new process; return every stage of each case, by the case's name."""
    with tempfile.TemporaryDirectory(prefix="turbo-lab-fresh-") as folder:
        file = Path(folder) / "stages.safetensors"
        done = subprocess.run(
            [sys.executable, "-m", "turbo_lab.trials.draw_cases", str(file)],
            input=json.dumps({name: list(overrides) for name, overrides in cases.items()}),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines() or ["no message"]
            raise JudgementError(f"golden: a fresh process failed ({lines[-1]})")
        return _read(file)


def _read(file: Path) -> dict[str, Stages]:
    from safetensors import safe_open

    found: dict[str, Stages] = {}
    with safe_open(file, "numpy") as tensors:
        listed = json.loads(tensors.metadata()["stages"])
        for name, stages in listed.items():
            found[name] = tuple(
                StageValue(stage, dtype, tensors.get_tensor(f"{name} {stage}"))
                for stage, dtype in stages
            )
    return found


def write_stages(file: Path, found: Mapping[str, Stages]) -> None:
    """Write every stage of each case, by the case's name, to a safetensors file."""
    from safetensors.numpy import save_file

    tensors = {f"{n} {v.stage}": v.values for n, stages in found.items() for v in stages}
    listed = {name: [(v.stage, v.dtype) for v in stages] for name, stages in found.items()}
    save_file(tensors, file, {"stages": json.dumps(listed)})
