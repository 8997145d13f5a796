"""The metric context of a sweep, checked before any work."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.small_sweeps import small_sweep
from turbo_lab.errors import InputError, MissingFilesError
from turbo_lab.planning.resolved_sweep import ResolvedSweep
from turbo_lab.workflows.executed import Executed
from turbo_lab.workflows.settings import resolve_metric_context


def measured_by(done: Executed, **changes: Any) -> ResolvedSweep:
    options = done.sweep.options
    return replace(
        done.sweep, options=replace(options, metrics=replace(options.metrics, **changes))
    )


def test_a_sweep_without_metrics_needs_nothing(executed: Executed) -> None:
    assert resolve_metric_context(measured_by(executed, names=(), reference="nowhere")) is None


def test_the_context_is_that_of_the_options(executed: Executed, clip_folder: Path) -> None:
    found = resolve_metric_context(executed.sweep)
    assert found is not None and found.extractor.folder == clip_folder
    assert len(found.prompt_set) == 640, "the demo's prompts are scenes"


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"names": ("fd",), "reference": None}, InputError, "metrics=fd: needs reference=NAME"),
        (
            {"names": ("fd",), "reference": "x/gone.safetensors"},
            MissingFilesError,
            "reference=gone: x/gone.safetensors does not exist",
        ),
        ({"names": ("fd/nano-clip",)}, InputError, "the extractor is tiny-clip"),
        ({"extractor": "nowhere"}, InputError, "metrics.extractor=nowhere: unknown"),
    ],
)
def test_what_a_metric_lacks_is_refused_at_once(
    changes: dict[str, Any], error: type[Exception], message: str, executed: Executed
) -> None:
    with pytest.raises(error, match=message):
        resolve_metric_context(measured_by(executed, **changes))


def test_images_of_random_weights_are_not_measured(tiny_sdxl_dir: Path, tmp_path: Path) -> None:
    from tests.tiny_shape import save_tiny_shape

    shape = save_tiny_shape(tiny_sdxl_dir, tmp_path / "shape")
    sweep = small_sweep(shape, "metrics=default")
    with pytest.raises(InputError, match="metrics: model=.* has random weights, .* metrics=none"):
        resolve_metric_context(sweep)
