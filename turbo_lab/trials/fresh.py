"""Cases in a process of their own: the only way to see what a process brings along.

``python -m turbo_lab.trials.fresh`` reads ``{name: overrides}`` from standard
input and prints ``{name: outcome}``.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence

from turbo_lab.errors import JudgementError
from turbo_lab.golden.stages import mark


def outcomes_in_fresh_process(cases: Mapping[str, Sequence[str]]) -> dict[str, dict[str, str]]:
    """Stage hashes of each case as a new process gives them: name, then stage, to sha256."""
    done = subprocess.run(
        [sys.executable, "-m", "turbo_lab.trials.fresh"],
        input=json.dumps({name: list(overrides) for name, overrides in cases.items()}),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise JudgementError(f"golden: a fresh process failed ({lines[-1]})")
    found: dict[str, dict[str, str]] = json.loads(done.stdout)
    return found


def _main() -> None:
    from turbo_lab.trials.run_case import CaseRunner, resolve_case

    wanted = json.loads(sys.stdin.read())
    cases = [resolve_case(name, overrides) for name, overrides in wanted.items()]
    runner = CaseRunner(cases)
    found = {
        case.name: {value.stage: mark(value).sha256 for value in runner.run(case).stages}
        for case in cases
    }
    print(json.dumps(found))


if __name__ == "__main__":
    _main()
