"""``turbo-lab generate``: the prompt that reaches the model."""

from __future__ import annotations

from pathlib import Path

import pytest

from turbo_lab.cli.main import main
from turbo_lab.planning.resolved_sweep import ResolvedSweep


@pytest.mark.parametrize(
    "prompt",
    [
        "back\\slash",
        "cost ${seed}",
        "a=b is true",
        "it's 'quoted'",
        "two\nlines",
        "ends in \\",
        "a, (list) [of] {things}",
        "größe 猫",
    ],
)
def test_a_prompt_arrives_as_it_was_written(
    prompt: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from turbo_lab.workflows import sweep

    seen: list[ResolvedSweep] = []

    def stop(found: ResolvedSweep, progress: object) -> None:
        seen.append(found)
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sweep, "run_sweep", stop)
    assert main(["generate", prompt, "seed=3"]) == 3
    ((batch,),) = (cell.batches for found in seen for cell in found.cells)
    assert (batch.layout.prompts, batch.layout.seeds) == ((prompt,), (3,))
