"""The judge: preprocessing, batching, caching and what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.tiny_clip import PROMPTS
from turbo_lab.errors import InputError
from turbo_lab.identity import DigestCache
from turbo_lab.metrics.extractor import ClipExtractor, preprocess
from turbo_lab.metrics.extractor_source import (
    ExtractorSource,
    Preprocessing,
    extractor_source,
)


def test_features_equal_open_clips_own_way(
    extractor: ClipExtractor, clip_folder: Path, images: np.ndarray
) -> None:
    """Oracle: stock model, stock transform, stock tokenizer; 32 px images need no resize."""
    import open_clip

    model, transform = open_clip.create_model_from_pretrained(f"local-dir:{clip_folder}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{clip_folder}")
    with torch.inference_mode():
        pixels = torch.stack([transform(Image.fromarray(image)) for image in images])
        want_images = model.eval().encode_image(pixels).numpy()
        want_texts = model.encode_text(tokenizer(list(PROMPTS))).numpy()
    np.testing.assert_allclose(extractor.image_features(images), want_images, rtol=0, atol=2e-5)
    np.testing.assert_allclose(extractor.text_features(PROMPTS), want_texts, rtol=0, atol=2e-5)


@pytest.mark.parametrize("height,width", [(64, 64), (48, 80), (90, 50), (16, 16), (33, 32)])
def test_resize_follows_pillow_within_one_level(height: int, width: int) -> None:
    """Pillow computes in fixed point: a level may differ where it rounds."""
    from torchvision import transforms

    generator = np.random.default_rng(1)
    image = generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
    constants = Preprocessing(32, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    ours = preprocess(torch.from_numpy(image[None]), constants)[0] * 255
    bicubic = transforms.InterpolationMode.BICUBIC
    steps = [transforms.Resize(32, bicubic), transforms.CenterCrop(32), transforms.PILToTensor()]
    theirs = transforms.Compose(steps)(Image.fromarray(image)).float()
    assert ours.shape == theirs.shape
    assert float((ours - theirs).abs().max()) <= 1.001


def test_no_resize_keeps_every_pixel() -> None:
    image = np.random.default_rng(2).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    constants = Preprocessing(32, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    back = (preprocess(torch.from_numpy(image), constants) * 255).round().byte()
    np.testing.assert_array_equal(back.permute(0, 2, 3, 1).numpy(), image)


def test_batch_size_does_not_move_features(
    source: ExtractorSource, cache: DigestCache, images: np.ndarray
) -> None:
    """Kernels of other shapes sum in another order: 1e-5 on features of order 1."""
    by_one = ClipExtractor(source, cache, batch_size=1)
    by_all = ClipExtractor(source, cache, batch_size=64)
    np.testing.assert_allclose(
        by_one.image_features(images), by_all.image_features(images), rtol=0, atol=1e-5
    )
    np.testing.assert_allclose(
        by_one.text_features(PROMPTS), by_all.text_features(PROMPTS), rtol=0, atol=1e-5
    )


def test_a_repeat_is_equal_bit_for_bit(extractor: ClipExtractor, images: np.ndarray) -> None:
    np.testing.assert_array_equal(
        extractor.image_features(images), extractor.image_features(images)
    )


def test_each_distinct_prompt_is_encoded_once(
    source: ExtractorSource, cache: DigestCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge, calls = ClipExtractor(source, cache), []
    encode = judge._model.encode_text
    monkeypatch.setattr(
        judge._model, "encode_text", lambda tokens: calls.append(len(tokens)) or encode(tokens)
    )
    features = judge.text_features(["a", "b", "a", "a"])
    judge.text_features(["b", "a"])
    assert calls == [2]
    np.testing.assert_array_equal(features[0], features[3])


@pytest.mark.parametrize(
    "bad,message",
    [
        (np.zeros((2, 32, 32, 3), np.float32), "must be uint8"),
        (np.zeros((32, 32, 3), np.uint8), r"must be \(N, height, width, 3\)"),
        (np.zeros((2, 3, 32, 32), np.uint8), r"must be \(N, height, width, 3\)"),
        (np.zeros((0, 32, 32, 3), np.uint8), "N >= 1"),
    ],
)
def test_refused_images(extractor: ClipExtractor, bad: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        extractor.image_features(bad)


def test_weights_that_give_nan_are_reported(
    source: ExtractorSource, cache: DigestCache, images: np.ndarray
) -> None:
    judge = ClipExtractor(source, cache)
    with torch.no_grad():
        judge._model.visual.proj.fill_(float("nan"))
    with pytest.raises(ValueError, match="image features: 240 values are not finite"):
        judge.image_features(images)


def test_a_squashing_model_squashes(tmp_path: Path, clip_folder: Path, cache: DigestCache) -> None:
    """SigLIP's and CLIPA's way: the whole image, its sides made equal; against open_clip's own."""
    from open_clip.transform import image_transform
    from PIL import Image

    folder = tmp_path / "squash"
    shutil.copytree(clip_folder, folder)
    config = json.loads((folder / "open_clip_config.json").read_text())
    plain = extractor_source(str(folder))
    config.setdefault("preprocess_cfg", {})["resize_mode"] = "squash"
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    squashing = extractor_source(str(folder))
    assert squashing.digest(cache) != plain.digest(cache)
    constants = squashing.preprocessing
    pixels = np.random.default_rng(0).integers(0, 256, (48, 80, 3), np.uint8)
    theirs = image_transform(
        constants.image_size,
        is_train=False,
        mean=constants.mean,
        std=constants.std,
        interpolation=constants.interpolation,
        resize_mode="squash",
    )(Image.fromarray(pixels))
    ours = preprocess(torch.from_numpy(pixels)[None], constants)[0]
    # One level of 255 where Pillow's fixed-point sum rounds the other way.
    assert (ours - theirs).abs().max() <= 1.01 / 255 / min(constants.std)
    config["preprocess_cfg"]["resize_mode"] = "longest"
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="resize_mode=longest: must be shortest or squash"):
        extractor_source(str(folder))
