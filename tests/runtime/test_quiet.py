"""What the libraries repeat is said once or not at all; what is new still gets through."""

from __future__ import annotations

import json
import logging
import warnings
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderTiny, ModelMixin

from tests.tiny_shape import save_tiny_shape
from turbo_lab.cards.locate import ModelSource
from turbo_lab.runtime.pipeline import load_pipeline
from turbo_lab.runtime.quiet import quiet_libraries


def test_a_float16_pipeline_loads_and_decodes_without_a_word(
    tiny_sdxl_dir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As SDXL's own VAE: cast to float32 and back by the stock call, twice here."""
    folder = save_tiny_shape(tiny_sdxl_dir, tmp_path / "shape")
    vae = folder / "vae" / "config.json"
    vae.write_text(json.dumps(json.loads(vae.read_text()) | {"force_upcast": True}))
    scheduler = (folder / "scheduler" / "scheduler_config.json").read_text()
    with warnings.catch_warnings(record=True) as said, caplog.at_level(logging.WARNING):
        warnings.simplefilter("always")
        pipeline = load_pipeline(ModelSource(folder), scheduler, "float16", torch.device("cpu"))
        for _ in range(2):
            pipeline("a panda", num_inference_steps=1, guidance_scale=0.0, height=64, width=64)
    assert pipeline.vae.dtype == torch.float16
    repeated = [one for one in said if "upcast_vae" in str(one.message)]
    assert repeated == [] and caplog.messages == []


def test_a_list_that_is_not_empty_is_still_said(caplog: pytest.LogCaptureFixture) -> None:
    quiet_libraries()
    quiet_libraries()
    logger = logging.getLogger(ModelMixin.__module__)
    text = "There are modules in X that should be kept in float32: %s. Casting directly"
    with caplog.at_level(logging.WARNING, logger.name):
        logger.warning(text, [])
        logger.warning(text, ["norm"])
        logger.warning("something else")
    assert [message[-40:] for message in caplog.messages] == [
        (text % ["norm"])[-40:],
        "something else",
    ]
    with pytest.warns(FutureWarning, match="another is deprecated"):
        warnings.warn("`another is deprecated", FutureWarning, stacklevel=1)


def test_a_small_vae_is_loaded_without_a_word_and_an_unknown_key_is_still_said(
    tiny_sdxl_dir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    AutoencoderTiny().save_pretrained(tmp_path / "vae")
    scheduler = (tiny_sdxl_dir / "scheduler" / "scheduler_config.json").read_text()

    def said() -> list[str]:
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            load_pipeline(
                ModelSource(tiny_sdxl_dir),
                scheduler,
                "float32",
                torch.device("cpu"),
                vae=tmp_path / "vae",
            )
        return [text for text in caplog.messages if "scheduler" not in text.lower()]

    assert said() == []
    config = tmp_path / "vae" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"attention_sink": 4}))
    (message,) = said()
    assert "'attention_sink': 4" in message
