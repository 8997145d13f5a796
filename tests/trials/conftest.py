"""Goldens of the shipped model, recorded once for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from turbo_lab.golden.golden import Accepted, Golden
from turbo_lab.golden.library import GoldenLibrary, Material
from turbo_lab.trials.calibrate import load_cases
from turbo_lab.trials.goldens import record
from turbo_lab.trials.run_case import Case, CaseRunner

CASES = {
    "two-steps": ("prompt='a key on a blue background'", "num_inference_steps=2", "seed=3"),
    "guided-batch": (
        "prompts=scenes-demo",
        "num_images=4",
        "batch_size=4",
        "guidance_scale=2",
        "negative_prompt='a bell on a red background'",
        "seed=5",
    ),
}
Loaded = list[tuple[Case, Golden, Material]]


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> GoldenLibrary:
    """Two cases, each drawn in one fresh process as well."""
    root = tmp_path_factory.mktemp("goldens")
    made = GoldenLibrary(root / "goldens", root / "content")
    cases = {name: (*overrides, "num_threads=1") for name, overrides in CASES.items()}
    record(made, cases, {}, processes=1, acceptance=Accepted("", {}, "tests", "", "first"))
    return made


@pytest.fixture(scope="session")
def loaded(library: GoldenLibrary) -> Loaded:
    """Those cases, resolved."""
    return load_cases(library)


@pytest.fixture(scope="session")
def runner(loaded: Loaded) -> CaseRunner:
    """With one resident pipeline."""
    return CaseRunner([case for case, *_ in loaded])


@pytest.fixture
def in_folder(library: GoldenLibrary, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory of someone who has those goldens."""
    monkeypatch.chdir(library.root.parent)
    monkeypatch.setenv("TURBO_LAB_GOLDENS", str(library.content))
    yield library.root.parent
