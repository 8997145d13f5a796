"""clip_score, r_precision and diversity on features: by hand, by oracle, by convention."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch

from tests.tiny_clip import PROMPTS
from turbo_lab.metrics.clip_score import clip_score
from turbo_lab.metrics.diversity import diversity
from turbo_lab.metrics.extractor import ClipExtractor, preprocess
from turbo_lab.metrics.r_precision import r_precision

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


def test_r_precision_by_hand() -> None:
    images = np.array([[1.0, 0.1, 0.0], [0.9, 1.0, 0.0], [1.0, 0.0, 0.2], [0.0, 0.0, 1.0]])
    score = r_precision(images, EYE, ("a", "b", "c", "c"), ("a", "b", "c"))
    assert score.per_image == (1.0, 1.0, 0.0, 1.0)
    assert score.value == 0.75


def test_r_precision_of_an_image_like_every_caption_is_chance() -> None:
    """SGLang's gate passed a black frame; here a tie is worth its share."""
    score = r_precision(np.ones((6, 3)), EYE, "aabbcc", ("a", "b", "c"))
    assert score.value == pytest.approx(1 / 3)
    same_text = r_precision(EYE[[0]], EYE[[0, 0]], ("a",), ("a", "b"))
    assert same_text.value == 0.5


def test_r_precision_refuses_a_set_without_the_prompt() -> None:
    with pytest.raises(ValueError, match="lack the prompt 'z'"):
        r_precision(EYE, EYE, ("a", "b", "z"), ("a", "b", "c"))
    with pytest.raises(ValueError, match="at least 2 distinct"):
        r_precision(EYE, EYE[:1], "aaa", ("a",))


def test_diversity_by_hand() -> None:
    """Orthogonal pair: 1; equal pair: 0; opposite pair: 2; a single image does not count."""
    images = np.array([[1, 0], [0, 1], [3, 3], [1, 1], [0, 2], [0, -1], [1, 0]], dtype=float)
    score = diversity(images, ("a", "a", "b", "b", "c", "c", "d"))
    assert score.value == pytest.approx(1.0) and score.n == 3
    assert score.note is not None and "2 seeds per prompt" in score.note
    equal = diversity(np.ones((4, 5)), ("a",) * 4)
    assert equal.value == pytest.approx(0.0, abs=1e-12)


def test_diversity_equals_the_double_loop() -> None:
    rows = np.random.default_rng(4).normal(size=(7, 6))
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    pairs = [1 - unit[i] @ unit[j] for i in range(7) for j in range(i)]
    assert diversity(rows, "p" * 7).value == pytest.approx(np.mean(pairs))


def test_diversity_of_one_seed_is_unscored() -> None:
    score = diversity(EYE, "abc")
    assert score.value is None and score.note is not None and "unscored" in score.note
