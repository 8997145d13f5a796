"""Fixtures of all tests: a separate cache, no network, no GPU tests without a GPU."""

from __future__ import annotations

import gc
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    import numpy as np
    from xdist.remote import Producer

    from tests.golden_cases import FreshDraws, Loaded
    from tests.workers import Schedule
    from turbo_lab.golden.library import GoldenLibrary
    from turbo_lab.golden.run_case import CaseRunner
    from turbo_lab.identity import DigestCache
    from turbo_lab.metrics.extractor import ClipExtractor
    from turbo_lab.metrics.extractor_source import ExtractorSource
    from turbo_lab.progress import StderrProgress
    from turbo_lab.workflows.executed import Executed

# Before any test module imports a library: they read these when they are imported.
_HOME = Path(tempfile.mkdtemp(prefix="turbo-lab-tests-"))
os.environ.update(
    TURBO_LAB_CACHE=str(_HOME / "cache"),
    HF_HUB_CACHE=str(_HOME / "hub"),
    HF_HUB_OFFLINE="1",
    TRANSFORMERS_OFFLINE="1",
    MLFLOW_DISABLE_TELEMETRY="true",
    DO_NOT_TRACK="1",
)
# Tests run side by side: an OpenMP thread that spins for one that was put aside waits 50 times
# as long as one that sleeps.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# No test fails because the machine is busy.
hypothesis.settings.register_profile("tests", deadline=None)
hypothesis.settings.load_profile("tests")


def pytest_unconfigure() -> None:
    """Nothing is left behind."""
    shutil.rmtree(_HOME, ignore_errors=True)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Schedule:
    """Share the tests out by units that have their costly fixtures in common."""
    from tests.workers import Schedule

    return Schedule(config, log)


def pytest_collection_finish() -> None:
    """Make garbage collections rare.

    A full one walks through the million objects of torch, diffusers and MLflow: with Python's
    own thresholds a fifth of a test's CPU time.
    """
    gc.set_threshold(20_000, 10, 10)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests marked ``gpu`` are left out without one; a worker begins with long files."""
    from turbo_lab.environment import read_gpu

    if hasattr(config, "workerinput"):
        from tests.workers import position

        items.sort(key=position)
    if any("gpu" in item.keywords for item in items) and read_gpu() is None:
        skip = pytest.mark.skip(reason="needs an NVIDIA GPU")
        for item in items:
            if "gpu" in item.keywords:
                item.add_marker(skip)


@pytest.fixture(scope="session")
def tiny_sdxl_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A diffusers folder with SDXL's config keys and tiny random weights. Do not change it."""
    from tests.tiny_sdxl import save_tiny_sdxl

    return save_tiny_sdxl(tmp_path_factory.mktemp("tiny") / "tiny-sdxl")


@pytest.fixture
def packaged_weights(tiny_sdxl_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``data/weights`` as the package stores it, in miniature; ours points there."""
    weights = tmp_path / "weights"
    parts = {name: f"shared/{name}" for name in ("vae", "text_encoder", "text_encoder_2")}
    parts |= {name: f"shared/{name}" for name in ("tokenizer", "tokenizer_2")}
    for name, folder in parts.items():
        shutil.copytree(tiny_sdxl_dir / name, weights / folder)
    for name in ("nano-sdxl", "nano-turbo", "nano-lcm"):
        home = weights / name
        for part in ("unet", "scheduler"):
            shutil.copytree(tiny_sdxl_dir / part, home / part)
        shutil.copy(tiny_sdxl_dir / "model_index.json", home)
        card = {
            "name": name,
            "kind": "pipeline",
            "license": "Apache-2.0",
            "license_source": "here",
            "trained_on": "nothing",
            "parameters": 1,
            "figures": {},
            "parts": parts | {"unet": f"{name}/unet", "scheduler": f"{name}/scheduler"},
        }
        (home / "card.json").write_text(json.dumps(card))
    for module in ("packaged", "adapter"):
        monkeypatch.setattr(f"turbo_lab.cards.{module}.WEIGHTS", weights)
    monkeypatch.setattr("turbo_lab.workflows.catalog.WEIGHTS", weights)
    return weights


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny CLIP extractor's folder. Do not change it."""
    from tests.tiny_clip import save_tiny_clip

    return save_tiny_clip(tmp_path_factory.mktemp("judge") / "tiny-clip")


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> DigestCache:
    """A digest cache that all tests of a worker share."""
    from turbo_lab.identity import DigestCache

    return DigestCache(tmp_path_factory.mktemp("cache") / "digests.jsonl")


@pytest.fixture(scope="session")
def source(clip_folder: Path) -> ExtractorSource:
    """The files of the tiny CLIP extractor."""
    from turbo_lab.metrics.extractor_source import extractor_source

    return extractor_source(str(clip_folder))


@pytest.fixture(scope="session")
def extractor(source: ExtractorSource, cache: DigestCache) -> ClipExtractor:
    """The tiny CLIP extractor, loaded."""
    from turbo_lab.metrics.extractor import ClipExtractor

    return ClipExtractor(source, cache, batch_size=8)


@pytest.fixture(scope="session")
def images() -> np.ndarray:
    """(20, 32, 32, 3) uint8: coloured noise, each image with a mean of its own."""
    import numpy as np

    generator = np.random.default_rng(0)
    base = generator.uniform(0, 200, (20, 1, 1, 3))
    return (base + generator.uniform(0, 55, (20, 32, 32, 3))).round().astype(np.uint8)


@pytest.fixture(scope="session")
def fresh_draws() -> FreshDraws:
    """The draws of fresh processes that all tests of a worker share."""
    from tests.golden_cases import FreshDraws

    return FreshDraws()


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory, fresh_draws: FreshDraws) -> GoldenLibrary:
    """Goldens of the shipped model: two cases, each drawn in one fresh process as well."""
    from tests.golden_cases import CASES
    from turbo_lab.golden.document import Acceptance
    from turbo_lab.golden.library import GoldenLibrary
    from turbo_lab.golden.lifecycle import Recording, record
    from turbo_lab.golden.run_case import Drawing

    root = tmp_path_factory.mktemp("goldens")
    made = GoldenLibrary(root / "goldens", root / "content")
    cases = {name: (*overrides, "num_threads=1") for name, overrides in CASES.items()}
    drawing = Drawing(draw_fresh=fresh_draws)
    record(made, cases, Recording(Acceptance("first", "tests"), {}, 1, drawing))
    return made


@pytest.fixture(scope="session")
def loaded(library: GoldenLibrary) -> Loaded:
    """The cases of ``library``, resolved."""
    from turbo_lab.trials.golden_calibration import load_cases

    return load_cases(library)


@pytest.fixture(scope="session")
def runner(loaded: Loaded, fresh_draws: FreshDraws) -> CaseRunner:
    """A runner of those cases, with one resident pipeline."""
    from turbo_lab.golden.run_case import CaseRunner, Drawing

    return CaseRunner([one.case for one in loaded], Drawing(draw_fresh=fresh_draws))


@pytest.fixture
def in_folder(library: GoldenLibrary, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory of someone who has the goldens of ``library``."""
    monkeypatch.chdir(library.root.parent)
    monkeypatch.setenv("TURBO_LAB_GOLDENS", str(library.content))
    yield library.root.parent


@pytest.fixture(scope="session")
def executed(
    tiny_sdxl_dir: Path, clip_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Executed:
    """A sweep of two cells, run once: one is drawn, timed and scored; one fails.

    Do not change its store; ``executed_copy`` has one to change.
    """
    from tests.small_sweeps import with_a_failed_cell
    from turbo_lab.progress import StderrProgress
    from turbo_lab.workflows.sweep import run_sweep

    root, progress = tmp_path_factory.mktemp("executed"), StderrProgress()
    try:
        return run_sweep(with_a_failed_cell(tiny_sdxl_dir, clip_folder, root), progress)
    finally:
        progress.end()  # or it would go on in the tests that follow


@pytest.fixture
def progress() -> Iterator[StderrProgress]:
    """Progress on standard error, ended with the test."""
    from turbo_lab.progress import StderrProgress

    progress = StderrProgress()
    yield progress
    progress.end()


@pytest.fixture
def executed_copy(executed: Executed, tmp_path: Path) -> Executed:
    """The same sweep with a copy of its store, which a test may change."""
    from dataclasses import replace

    from turbo_lab.planning.resolved_sweep import with_store
    from turbo_lab.store.store import Store

    root = shutil.copytree(executed.store.root, tmp_path / "store")
    return replace(executed, sweep=with_store(executed.sweep, root), store=Store(root))
