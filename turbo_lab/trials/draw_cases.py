"""Draw golden cases in this process and write every stage of each to a file.

``python -m turbo_lab.trials.draw_cases FILE [DIR]`` reads ``{name: overrides}`` as JSON from
standard input and writes a safetensors file. ``DIR``: the folder of the user's own groups.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from turbo_lab.cards import with_own_groups
from turbo_lab.golden.fresh_process import write_stages
from turbo_lab.golden.run_case import CaseRunner, resolve_case


def main() -> None:
    """Read the cases, draw them in this process, write their stages."""
    requested = json.loads(sys.stdin.read())
    file, *own = map(Path, sys.argv[1:])
    with with_own_groups(own[0] if own else None):
        cases = [resolve_case(name, overrides) for name, overrides in requested.items()]
        runner = CaseRunner(cases)
        write_stages(file, {case.name: runner.run(case).stages for case in cases})


if __name__ == "__main__":
    main()
