"""Cases in a process of their own: the only way to see what a process brings along.

``python -m turbo_lab.trials.fresh FILE`` reads ``{name: overrides}`` from standard
input and writes every stage of each case to a safetensors file.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from turbo_lab.errors import JudgementError
from turbo_lab.golden.stages import StageValue

Stages = tuple[StageValue, ...]


def stages_in_fresh_process(cases: Mapping[str, Sequence[str]]) -> dict[str, Stages]:
    """Every stage of each case, by its name, as a new process gives them."""
    with tempfile.TemporaryDirectory(prefix="turbo-lab-fresh-") as folder:
        file = Path(folder) / "stages.safetensors"
        done = subprocess.run(
            [sys.executable, "-m", "turbo_lab.trials.fresh", str(file)],
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


def _write(file: Path, found: Mapping[str, Stages]) -> None:
    from safetensors.numpy import save_file

    tensors = {f"{n} {v.stage}": v.values for n, stages in found.items() for v in stages}
    listed = {name: [(v.stage, v.dtype) for v in stages] for name, stages in found.items()}
    save_file(tensors, file, {"stages": json.dumps(listed)})


def _main() -> None:
    from turbo_lab.trials.run_case import CaseRunner, resolve_case

    wanted = json.loads(sys.stdin.read())
    cases = [resolve_case(name, overrides) for name, overrides in wanted.items()]
    runner = CaseRunner(cases)
    _write(Path(sys.argv[1]), {case.name: runner.run(case).stages for case in cases})


if __name__ == "__main__":
    _main()
