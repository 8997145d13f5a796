"""A safety checker flags images, and changes none."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from PIL import Image
from transformers import CLIPConfig, CLIPImageProcessor

from turbo_lab.errors import InputError
from turbo_lab.identity import DigestCache
from turbo_lab.metrics.context import MetricContext, metric_fingerprints
from turbo_lab.metrics.evaluate import measure
from turbo_lab.metrics.extractor_source import extractor_source
from turbo_lab.metrics.safety import SafetyExtractor
from turbo_lab.metrics.safety_source import safety_source

PICTURES = np.random.default_rng(0).integers(0, 256, (3, 64, 96, 3), dtype=np.uint8)


def save_checker(folder: Path, seed: int = 0) -> Path:
    """Save a tiny checker with random weights that flags the second picture and no other."""
    torch.manual_seed(seed)
    vision = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 32,
        "patch_size": 8,
        "projection_dim": 8,
    }
    checker = StableDiffusionSafetyChecker(CLIPConfig(vision_config=vision, projection_dim=8))
    processor = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=32)
    pixels = processor([Image.fromarray(one) for one in PICTURES], return_tensors="pt").pixel_values
    with torch.no_grad():
        pooled = checker.vision_model(pixels)[1]
        embedded = torch.nn.functional.normalize(checker.visual_projection(pooled))
        others = embedded[[0, 2]].mean(0)
        # The first concept is what the second picture has and the others lack.
        checker.concept_embeds[:] = embedded[1] - others
        cosines = embedded @ torch.nn.functional.normalize(checker.concept_embeds[0], dim=0)
        assert cosines[1] > cosines[[0, 2]].max()
        checker.concept_embeds_weights[:] = 1.1  # above every cosine
        checker.concept_embeds_weights[0] = (cosines[1] + cosines[[0, 2]].max()) / 2
        checker.special_care_embeds_weights[:] = 1.1
    checker.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checker(tmp_path_factory.mktemp("checker"))


def context(folder: Path) -> MetricContext:
    return MetricContext(extractor=extractor_source(), safety=safety_source(str(folder)))


def test_flags_are_those_of_the_checker_called_as_diffusers_calls_it(folder: Path) -> None:
    before = PICTURES.copy()
    (found,) = measure(PICTURES, ("a", "b", "c"), (1, 2, 3), ("flagged",), context(folder))
    assert (found.value, found.n, found.per_image) == (1 / 3, 3, (0.0, 1.0, 0.0)), found.note
    assert np.array_equal(PICTURES, before), "nothing is blackened"
    checker = StableDiffusionSafetyChecker.from_pretrained(folder)
    processor = CLIPImageProcessor.from_pretrained(folder)
    pixels = processor([Image.fromarray(one) for one in PICTURES], return_tensors="pt").pixel_values
    blackened, flags = checker(clip_input=pixels, images=[one.copy() for one in PICTURES])
    assert flags == [False, True, False] and not blackened[1].any()


def test_no_black_image_is_announced(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    extractor = SafetyExtractor(safety_source(str(folder)))
    assert extractor.image_features(PICTURES).tolist() == [[0.0], [1.0], [0.0]]
    assert "black image" not in caplog.text
    with pytest.raises(InputError, match="has no text side"):
        extractor.text_features(["a"])


def test_the_fingerprint_is_that_of_the_weights_and_the_preprocessing(
    folder: Path, tmp_path: Path
) -> None:
    def fingerprint(folder: Path) -> str:
        return metric_fingerprints(["flagged"], context(folder), DigestCache())["flagged"]

    moved = shutil.copytree(folder, tmp_path / "moved")
    assert fingerprint(moved) == fingerprint(folder)
    assert fingerprint(save_checker(tmp_path / "other", seed=1)) != fingerprint(folder)
    pipeline = tmp_path / "pipeline"
    shutil.copytree(folder, pipeline / "safety_checker")
    (pipeline / "feature_extractor").mkdir()
    shutil.move(
        pipeline / "safety_checker" / "preprocessor_config.json", pipeline / "feature_extractor"
    )
    assert fingerprint(pipeline) == fingerprint(folder)
    assert SafetyExtractor(safety_source(str(pipeline))).image_features(PICTURES).sum() == 1
    file = moved / "preprocessor_config.json"
    values = json.loads(file.read_text())
    file.write_text(json.dumps(values | {"image_mean": [0.5, 0.5, 0.5]}))
    assert fingerprint(moved) != fingerprint(folder)


def test_damaged_weights_are_an_error_of_the_metric(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    (found,) = measure(PICTURES, ("a", "b", "c"), (1, 2, 3), ("flagged",), context(copy))
    assert found.value is None and found.failed
    assert found.note is not None and found.note.startswith("error: ")


def test_the_metric_needs_a_checker() -> None:
    without = MetricContext(extractor=extractor_source())
    with pytest.raises(InputError, match="metrics=flagged: needs safety_checker=FOLDER"):
        metric_fingerprints(["flagged"], without, DigestCache())
