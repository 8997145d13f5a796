"""The proof that the exact loop has the stock call's bits, and what is given back if not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.runtime.graph_stand_in import ReplayedCalls
from tests.runtime.tiny import CPU, LAYOUT, tiny_batch, tiny_pipeline
from turbo_lab.planning.work import WorkDone
from turbo_lab.request.recipe import Batch, Layout
from turbo_lab.runtime.determinism import image_lane
from turbo_lab.runtime.exact import ExactStages
from turbo_lab.runtime.graphs import GraphPool
from turbo_lab.runtime.pipeline import make_scheduler
from turbo_lab.runtime.proof import prove
from turbo_lab.runtime.sampler import Sampler
from turbo_lab.runtime.seams import SWEEP_SEAMS
from turbo_lab.runtime.stock import stock_arguments


def exact_stages(
    folder: Path, dtype: str = "float32", graphs: GraphPool | None = None
) -> ExactStages:
    return ExactStages(tiny_pipeline(folder, dtype), CPU, graphs)


def stock(stages: ExactStages, batch: Batch, negative: str | None) -> np.ndarray:
    """Draw the batch by the stock call, on the pipeline as it was loaded."""
    stages.pipeline.scheduler = make_scheduler(batch.recipe.scheduler)
    with stages.as_loaded():
        pictures = stages.pipeline(**stock_arguments(batch, negative, SWEEP_SEAMS)).images
    return np.stack([np.asarray(picture) for picture in pictures])


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("rows", [1, 3])
def test_every_type_and_batch_size_is_proved(tiny_sdxl_dir: Path, dtype: str, rows: int) -> None:
    stages = exact_stages(tiny_sdxl_dir, dtype, GraphPool(ReplayedCalls()))
    layout = Layout(LAYOUT.prompts[:rows], LAYOUT.seeds[:rows])
    with image_lane(1):
        for guidance in (0.0, 2.0):
            prove(
                stages,
                tiny_batch(tiny_sdxl_dir, layout=layout, guidance=guidance, dtype=dtype),
                None,
            )
    assert not stages.given_back and stages.notes() == ()


def test_a_stage_with_other_bits_is_given_back_and_named(tiny_sdxl_dir: Path) -> None:
    stages = exact_stages(tiny_sdxl_dir, "float16")
    encode = stages._text_encoders
    stages._text_encoders = lambda *ids: (encode(*ids)[0] * 1.5, encode(*ids)[1])  # type: ignore[method-assign]
    decode = stages.vae_decode
    stages.vae_decode = lambda scaled: decode(scaled) + 0.25  # type: ignore[method-assign]
    batch = tiny_batch(tiny_sdxl_dir, dtype="float16")
    with image_lane(1):
        prove(stages, batch, None)
        assert stages.given_back == {"text": "prompt_embeds", "vae": "vae"}
        drawn = Sampler(stages.pipeline, CPU, WorkDone(), stages=stages).run_alone(batch, None)
        assert np.array_equal(drawn, stock(stages, batch, None))
    assert stages.notes()[0] == (
        "loop=exact: prompt_embeds has other bits here than in the stock call; the text runs as in "
        "the stock call"
    )


def test_a_loop_that_differs_anyway_is_given_back_as_a_whole(
    tiny_sdxl_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = exact_stages(tiny_sdxl_dir)
    monkeypatch.setattr(
        "turbo_lab.runtime.sampler.to_uint8", lambda decoded: (np.zeros((3, 64, 64, 3)), True)
    )
    with image_lane(1):
        prove(stages, tiny_batch(tiny_sdxl_dir), None)
    assert stages.given_back == {"loop": "pixels"}
