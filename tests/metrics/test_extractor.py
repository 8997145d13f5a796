"""The judge: preprocessing, batching, caching and what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.tiny_clip import PROMPTS, save_tiny_clip
from turbo_lab.errors import InputError, MissingFilesError
from turbo_lab.identity import DigestCache
from turbo_lab.metrics.extractor import ClipExtractor, preprocess
from turbo_lab.metrics.extractor_source import (
    PRESETS,
    TOKENIZER_FILES,
    ExtractorSource,
    Preprocessing,
    Preset,
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


def test_the_digest_follows_weights_and_constants_not_the_place(
    tmp_path: Path, source: ExtractorSource, cache: DigestCache
) -> None:
    same = extractor_source(str(save_tiny_clip(tmp_path / "copy")))
    other = extractor_source(str(save_tiny_clip(tmp_path / "other", seed=1)))
    assert same.digest(cache) == source.digest(cache) != other.digest(cache)
    config = same.folder / "open_clip_config.json"
    config.write_text(config.read_text().replace("0.25", "0.26"))
    assert extractor_source(str(same.folder)).digest(cache) != source.digest(cache)


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


def test_what_is_absent_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFilesError, match=r"lacks open_clip_config.json and open_clip_model"):
        extractor_source(str(tmp_path))
    with pytest.raises(MissingFilesError, match=r"nowhere.safetensors does not exist"):
        extractor_source("ViT-B-32", str(tmp_path / "nowhere.safetensors"))
    with pytest.raises(InputError, match="metrics.pretrained=openaj: unknown.*Did you mean openai"):
        extractor_source("ViT-B-32", "openaj")
    with pytest.raises(InputError, match="metrics.extractor=ViT-X-32 openai: unknown"):
        extractor_source("ViT-X-32", "openai")
    with pytest.raises(InputError, match=r"a pickle \(jienengchen/ViTamin-S/pytorch_model.bin\)"):
        extractor_source("ViTamin-S", "datacomp1b")
    with pytest.raises(InputError, match="metrics.extractor=ViT-B-32-opena: unknown"):
        extractor_source("ViT-B-32-opena")


def put_in_cache(cache: Path, repository: str, folder: Path) -> None:
    """As the hub lays a snapshot."""
    home = cache / f"models--{repository.replace('/', '--')}"
    (home / "refs").mkdir(parents=True)
    (home / "refs" / "main").write_text("0" * 40)
    shutil.copytree(folder, home / "snapshots" / ("0" * 40))


def test_any_tag_of_open_clip_is_found_by_its_own_table(
    clip_folder: Path, cache: DigestCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    repository = "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"
    with pytest.raises(MissingFilesError, match=f"hf download {repository} open_clip_model"):
        extractor_source("ViT-B-32", "laion2b_s34b_b79k")
    put_in_cache(tmp_path, repository, clip_folder)
    found = extractor_source("ViT-B-32", "laion2b_s34b_b79k")
    assert found.name == "ViT-B-32-laion2b_s34b_b79k"
    assert found.digest(cache) == extractor_source(str(clip_folder)).digest(cache)


def test_what_open_clip_would_look_for_elsewhere_is_refused(
    tmp_path: Path, clip_folder: Path
) -> None:
    folder = tmp_path / "siglip"
    shutil.copytree(clip_folder, folder)
    for file in TOKENIZER_FILES:
        (folder / file).unlink(missing_ok=True)
    config = json.loads((folder / "open_clip_config.json").read_text())
    text = config["model_cfg"]["text_cfg"]
    text["hf_tokenizer_name"] = "timm/ViT-B-16-SigLIP"
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    with pytest.raises(MissingFilesError, match="lacks tokenizer.json"):
        extractor_source(str(folder))
    text["hf_model_name"] = "roberta-base"
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="its text tower is roberta-base"):
        extractor_source(str(folder))


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
        constants.image_size, is_train=False, mean=constants.mean, std=constants.std,
        interpolation=constants.interpolation, resize_mode="squash",
    )(Image.fromarray(pixels))  # fmt: skip
    ours = preprocess(torch.from_numpy(pixels)[None], constants)[0]
    # One level of 255 where Pillow's fixed-point sum rounds the other way.
    assert (ours - theirs).abs().max() <= 1.01 / 255 / min(constants.std)
    config["preprocess_cfg"]["resize_mode"] = "longest"
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="resize_mode=longest: must be shortest or squash"):
        extractor_source(str(folder))


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_a_preset_is_found_where_hf_download_leaves_it(
    preset: Preset, clip_folder: Path, cache: DigestCache, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The hub's own cache layout, with small weights in the place of the published ones."""

    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    name = f"{preset.model}-{preset.tag}"
    with pytest.raises(MissingFilesError, match=f"hf download {preset.repository} open_clip_model"):
        extractor_source(name)
    put_in_cache(tmp_path, preset.repository, clip_folder)
    found = extractor_source(name)
    assert found == extractor_source(preset.model, preset.tag)
    assert found.name == name
    assert found.digest(cache) == extractor_source(str(clip_folder)).digest(cache)
    assert ClipExtractor(found, cache).text_features(["a"]).shape == (1, 12)


def test_a_presets_file_has_the_presets_architecture(tmp_path: Path) -> None:
    """OpenAI's weights with the plain ViT-B-32 would load, and score by another network."""
    file = tmp_path / "mine.safetensors"
    file.touch()
    found = extractor_source("ViT-B-32-openai", str(file))
    assert (found.model, found.config["quick_gelu"]) == ("ViT-B-32-quickgelu", True)
    assert not extractor_source("ViT-B-32", str(file)).config.get("quick_gelu", False)
    assert extractor_source("ViT-g-14-laion2b_s12b_b42k", str(file)).model == "ViT-g-14"


def test_a_model_name_with_a_local_file_loads(
    tmp_path: Path, cache: DigestCache, monkeypatch: pytest.MonkeyPatch, clip_folder: Path
) -> None:
    """A file without a config next to it takes open_clip's own architecture of that name."""
    from turbo_lab.metrics import extractor_source as sources

    config = json.loads((clip_folder / "open_clip_config.json").read_text())["model_cfg"]
    del config["text_cfg"]["hf_tokenizer_name"]
    import open_clip

    configs = tmp_path / "configs"
    configs.mkdir()
    (configs / "tiny-test.json").write_text(json.dumps(config))
    open_clip.add_model_config(configs)
    monkeypatch.setattr(sources, "_builtin_config", lambda name: config)
    file = tmp_path / "weights.safetensors"
    file.write_bytes((clip_folder / "open_clip_model.safetensors").read_bytes())
    judge = ClipExtractor(extractor_source("tiny-test", str(file)), cache)
    assert judge.name == "tiny-test-weights"
    assert judge.image_features(np.zeros((1, 32, 32, 3), np.uint8)).shape == (1, 12)
