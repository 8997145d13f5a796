"""A new project on the terminal: its files, and the commands to run next."""

from __future__ import annotations

from turbo_lab.documents.results import ProjectStarted


def print_project(started: ProjectStarted) -> None:
    """Print the files and the commands that complete the project."""
    for name in started.files:
        print(f"wrote           {started.folder / name}")
    print("\nnext:")
    for line in next_commands(started):
        print(f"  {line}")


def next_commands(started: ProjectStarted) -> list[str]:
    """Return the commands that record the goldens and the baseline, and run the gate."""
    groups = "--config-dir turbo-lab"
    return [
        f"turbo-lab golden record {groups}",
        f"turbo-lab sweep {groups} model={started.model} metrics.names=clip_score,r_precision "
        "timing=off",
        f"turbo-lab baseline set {started.name} SWEEP        # the id that the sweep prints",
        f"turbo-lab gate {groups} gate={started.name} model={started.model}",
        "git add goldens baselines turbo-lab .github",
    ]
