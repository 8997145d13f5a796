"""clip_score on features: by hand, by oracle, by convention."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch

from tests.tiny_clip import PROMPTS
from turbo_lab.metrics.clip_score import clip_score
from turbo_lab.metrics.extractor import ClipExtractor, preprocess

EYE = np.eye(3)


def test_clip_score_by_hand() -> None:
    images = np.array([[2.0, 0.0], [3.0, 3.0], [0.0, -1.0]])
    texts = np.array([[5.0, 0.0], [1.0, 0.0], [0.0, 7.0]])
    score = clip_score(images, texts, ("a", "b", "c"))
    assert score.per_image == pytest.approx((1.0, 0.5**0.5, -1.0))
    assert score.value == pytest.approx(0.5**0.5 / 3)
    assert score.n == 3 and score.ci95 is None
    assert score.note == "no interval: 3 prompts, fewer than 8"


def test_clip_score_equals_torchmetrics_through_an_adapter(
    extractor: ClipExtractor, images: np.ndarray
) -> None:
    """CLIPScore is 100 x the mean cosine of the same features; float32 there, hence 1e-5."""
    multimodal = pytest.importorskip("torchmetrics.multimodal")
    prompts = [PROMPTS[i % len(PROMPTS)] for i in range(len(images))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        oracle = multimodal.CLIPScore(model_name_or_path=lambda: _hf_adapter(extractor))
        oracle.update([torch.from_numpy(i).permute(2, 0, 1) for i in images], prompts)
    score = clip_score(extractor.image_features(images), extractor.text_features(prompts), prompts)
    assert score.value is not None
    assert max(100 * score.value, 0) == pytest.approx(float(oracle.compute()), abs=1e-4)
    assert score.ci95 is not None and score.ci95[0] < score.value < score.ci95[1]


def _hf_adapter(extractor: ClipExtractor) -> tuple[Any, Any]:
    """The judge in the shape of a Hugging Face model and processor."""

    class Model(torch.nn.Module):
        device = torch.device("cpu")
        config = type("C", (), {"text_config": type("T", (), {"max_position_embeddings": 40})})

        def get_image_features(self, pixel_values: torch.Tensor) -> torch.Tensor:
            return extractor._model.encode_image(pixel_values)

        def get_text_features(self, input_ids: torch.Tensor, attention_mask: Any) -> torch.Tensor:
            return extractor._model.encode_text(input_ids)

    def processor(text: Any = None, images: Any = None, **_: Any) -> dict[str, torch.Tensor]:
        if images is not None:
            pixels = torch.stack([torch.as_tensor(i) for i in images]).permute(0, 2, 3, 1)
            return {"pixel_values": preprocess(pixels, extractor.source.preprocessing)}
        tokens = extractor._tokenizer(text)
        return {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}

    return Model(), processor


def test_clip_score_is_higher_for_the_right_prompt_and_blind_to_scale() -> None:
    texts = EYE
    right, wrong = (
        clip_score(EYE, texts, "abc").value,
        clip_score(EYE[[1, 2, 0]], texts, "abc").value,
    )
    assert right == 1.0 and wrong == 0.0
    assert clip_score(9 * EYE, texts, "abc").value == right


def test_interval_resamples_prompts_not_images() -> None:
    """Ten equal images of a prompt tell no more than one."""
    generator = np.random.default_rng(3)
    once = generator.normal(size=(12, 4))
    texts, prompts = generator.normal(size=(12, 4)), [str(i) for i in range(12)]
    one = clip_score(once, texts, prompts)
    ten = clip_score(np.repeat(once, 10, 0), np.repeat(texts, 10, 0), np.repeat(prompts, 10))
    assert ten.n == 120 and ten.value == pytest.approx(one.value)
    assert ten.ci95 == pytest.approx(one.ci95)


@pytest.mark.parametrize("bad", [np.zeros((3, 3)), np.full((3, 3), np.nan), np.ones(3)])
def test_features_without_a_direction_are_an_error(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="features"):
        clip_score(bad, EYE, "abc")


def test_images_and_texts_pair() -> None:
    with pytest.raises(ValueError, match=r"images \(3, 3\) and texts \(2, 3\) differ"):
        clip_score(EYE, EYE[:2], "abc")
