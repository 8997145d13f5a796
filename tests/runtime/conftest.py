"""A loaded pipeline for the tests of the runtime."""

from __future__ import annotations

from pathlib import Path

import pytest
from diffusers import StableDiffusionXLPipeline


@pytest.fixture(scope="session")
def pipeline(tiny_sdxl_dir: Path) -> StableDiffusionXLPipeline:
    """The tiny model, loaded. A test leaves it as it was."""
    from tests.runtime.tiny import tiny_pipeline

    return tiny_pipeline(tiny_sdxl_dir)
